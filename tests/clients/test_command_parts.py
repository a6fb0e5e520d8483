"""Parts of the `tapcut` command that need no service: tables of points, plans, the gate."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tapcut_client import ObjectPrompt
from tapcut_client.command.batch import Gate
from tapcut_client.command.prompts import PromptError, prompts_from_options, read_table
from tapcut_client.command.work import Ledger, Work, WorkError, plan


def test_options_make_objects() -> None:
    objects = prompts_from_options(["1,2", "3,4:5,6"], ["7,8"], ["0,0,9,9"])
    assert [(list(one.points), one.labels, one.box) for one in objects] == [
        ([(1, 2), (7, 8)], [1, 0], None),
        ([(3, 4), (5, 6), (7, 8)], [1, 1, 0], None),
        ([(7, 8)], [0], (0, 0, 9, 9)),
    ]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "picture,x,y\na.jpg,1,2\na.jpg,3,4\n", {"a.jpg": [[(1, 2)], [(3, 4)]]}),
        (
            "a.csv",
            "\ufeffpicture,x,y,object,label\na.jpg,1,2,o,1\na.jpg,3,4,o,0\n",
            {"a.jpg": [[(1, 2), (3, 4)]]},
        ),
        (
            "a.json",
            '{"a.jpg": [[1, 2]], "b.jpg": [{"points": [[5, 6]]}]}',
            {"a.jpg": [[(1, 2)]], "b.jpg": [[(5, 6)]]},
        ),
    ],
)
def test_tables_of_points(tmp_path: Path, name: str, text: str, expected: dict[str, object]) -> None:
    (tmp_path / name).write_text(text)
    found = read_table(tmp_path / name)
    assert {key: [list(one.points) for one in objects] for key, objects in found.items()} == expected


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "file,x,y\n", "no column picture"),
        ("a.csv", "picture,x,y\na.jpg,1,two\n", "line 2"),
        ("a.csv", "picture,x,y,label\na.jpg,1,2,7\n", "line 2"),
        ("a.json", "[1]", "expected an object"),
        ("a.json", '{"a.jpg": [[1]]}', "a.jpg"),
        ("a.json", '{"a.jpg": [{"point": [1, 2]}]}', "unknown field point"),
    ],
)
def test_a_bad_table_says_where(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PromptError, match=words):
        read_table(tmp_path / name)


def test_two_pictures_never_write_one_file(tmp_path: Path) -> None:
    pictures = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"]
    with pytest.raises(WorkError, match="two pictures"):
        plan(pictures, (ObjectPrompt([(1, 1)]),), None, tmp_path / "out", ".clean")


def test_the_ledger_knows_other_pictures_points_and_lost_files(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    work = Work(picture, (ObjectPrompt([(1, 1)]),), tmp_path / "a.clean")
    made = tmp_path / "a.clean.png"
    made.write_bytes(b"result")
    Ledger(tmp_path).add(work.digest("remove"), [made])
    ledger = tmp_path / ".tapcut-batch.jsonl"
    ledger.write_text(ledger.read_text() + '{"digest": "cut o')
    again = Ledger(tmp_path)
    assert again.has(work.digest("remove"))
    assert not again.has(work.digest("extract"))
    assert not again.has(Work(picture, (ObjectPrompt([(2, 1)]),), work.target).digest("remove"))
    picture.write_bytes(b"two")
    assert not again.has(work.digest("remove"))
    picture.write_bytes(b"one")
    made.unlink()
    assert not again.has(work.digest("remove"))


async def test_the_gate_narrows_when_refused_and_widens_slowly() -> None:
    gate = Gate(8)
    for _ in range(60):
        await gate.enter()
        await gate.leave()
    assert gate.limit == 8
    gate.narrow()
    gate.narrow()
    assert gate.limit == 2
    await gate.enter()
    await gate.enter()
    third = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not third.done()
    await gate.leave()
    await asyncio.wait_for(third, 5)
