"""Parts of the `tapcut` command that need no service: tables of points, plans, the gate."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tapcut_client import ObjectPrompt
from tapcut_client.command.batch import Gate
from tapcut_client.command.kinds import extract_kind, remove_kind
from tapcut_client.command.ledger import Ledger
from tapcut_client.command.options import BY_SUFFIX, Format, format_for
from tapcut_client.command.prompts import PromptError, prompts_from_options, read_table
from tapcut_client.command.work import Work, WorkError, find_pictures, plan


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
        ("a.csv", "picture;x;y\nb c.jpg;1.5;2\n", {"b c.jpg": [[(1.5, 2)]]}),
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
    assert {key: [list(one.points) for one in objects] for key, objects in found.objects.items()} == expected


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "file,x,y\n", "no column picture"),
        ("a.csv", "picture,x,y\na.jpg,1,two\n", "line 2"),
        ("a.csv", "picture,x,y,label\na.jpg,1,2,1\n\na.jpg,1,2,7\n", "line 4: .*not a.jpg,1,2,7"),
        ("a.csv", "picture,x,y\n,1,2\n", "line 2"),
        ("a.csv", "picture,x,y\n", "names no picture"),
        ("a.json", '{"a.jpg": [{}]}', "neither"),
        ("a.json", '{"a.jpg": [{"mask": "none.png"}]}', "none.png: No such file"),
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


def test_the_ledger_knows_other_pictures_objects_kinds_and_lost_files(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    work = Work(picture, (ObjectPrompt([(1, 1)]),), tmp_path / "a.clean")
    (made,) = work.results(remove_kind("png")).values()
    made.write_bytes(b"result")
    first = Ledger(tmp_path)
    first.begin(work.digest(remove_kind("png")), [made])
    first.end(work.digest(remove_kind("png")), [made], None)
    with (tmp_path / ".tapcut-batch.jsonl").open("a") as ledger:
        ledger.write('{"digest": "cut o')
    again = Ledger(tmp_path)
    assert again.has(work.digest(remove_kind("png"))) and again.made(made)
    for other in (remove_kind("webp"), remove_kind("png", dilate_px=3), extract_kind(False)):
        assert not again.has(work.digest(other))
    assert not again.has(Work(picture, (ObjectPrompt([(2, 1)]),), work.target).digest(remove_kind("png")))
    again.end("after a line that was cut off", [], None)
    assert Ledger(tmp_path).has("after a line that was cut off")
    picture.write_bytes(b"two")
    assert not again.has(work.digest(remove_kind("png")))
    picture.write_bytes(b"one")
    made.unlink()
    assert not again.has(work.digest(remove_kind("png")))


def test_what_was_begun_is_taken_up_under_its_key(tmp_path: Path) -> None:
    key = Ledger(tmp_path).begin("picture", [tmp_path / "a.png"])
    again = Ledger(tmp_path)
    assert again.begin("picture", [tmp_path / "a.png"]) == key and again.made(tmp_path / "a.png")
    assert again.begin("picture", [tmp_path / "a.png"], anew=True) != key
    assert Ledger(tmp_path, forget=True).begin("picture", []) not in (key, again.begin("picture", []))


def test_results_that_lie_among_the_pictures_are_no_pictures(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "a.clean.png", "sub/c.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    Ledger(tmp_path).begin("of a.png", [tmp_path / "a.clean.png"])

    def names(*paths: str) -> list[str]:
        found = find_pictures([tmp_path / path for path in paths])
        return [path.relative_to(tmp_path).as_posix() for path in found]

    assert names(".") == ["a.png", "b.png"]
    assert names("a.png", ".", "b.png") == ["a.png", "b.png"]
    assert sorted(names("**/*.png")) == ["a.png", "b.png", "sub/c.png"]
    assert names("a.clean.png") == ["a.clean.png"]  # alone it is meant
    with pytest.raises(WorkError, match="no picture found"):
        names("*.gif")


def test_a_table_names_pictures_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    picture = tmp_path / "sub" / "a.png"
    picture.write_bytes(b"")
    (tmp_path / "points.csv").write_text("picture,x,y\nsub/a.png,1,2\n")
    table = read_table(tmp_path / "points.csv")
    assert table.pictures() == [picture] and table.name_of(picture) == "sub/a.png"
    works, _ = plan([picture], (), table, None, ".cut")
    assert works[0].results(extract_kind(True)) == {
        "cropped_0.png": tmp_path / "sub" / "a.cut.png",
        "mask_0.png": tmp_path / "sub" / "a.cut.mask.png",
    }


@pytest.mark.parametrize(("output", "wanted"), [("a.tiff", None), ("a.png", Format.WEBP)])
def test_a_results_name_that_says_something_else_than_its_format_is_refused(
    output: str, wanted: Format | None
) -> None:
    with pytest.raises(PromptError, match=output):
        format_for(wanted, Path(output), BY_SUFFIX)


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


def test_the_ledger_knows_a_job_that_a_killed_batch_left_at_the_service(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.end("fetched", [tmp_path / "a.png"], "job a")
    ledger.end("cleaned", [tmp_path / "b.png"], "job b")
    ledger.cleaned("cleaned")
    again = Ledger(tmp_path)
    assert (again.left("fetched"), again.left("cleaned"), again.left("unknown")) == ("job a", None, None)
    again.cleaned("fetched")
    assert Ledger(tmp_path).left("fetched") is None
