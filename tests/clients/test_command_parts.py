"""Parts of the `tapcut` command that need no service: tables of points, plans, the gate."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from tapcut_client import Client, ObjectPrompt
from tapcut_client.command.app import app
from tapcut_client.command.batch import Gate
from tapcut_client.command.kinds import extract_kind, remove_kind
from tapcut_client.command.ledger import Ledger
from tapcut_client.command.options import BY_SUFFIX, Format, format_for
from tapcut_client.command.prompts import PromptError, prompts_from_options, read_table
from tapcut_client.command.work import Work, WorkError, find_pictures, plan
from typer.testing import CliRunner, Result

from tests.service.pictures import pixels_of, png_bytes, scene

JOB = "0123456789abcdef0123456789abcdef"


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
        ("a.csv", "picture,x,y\na.jpg,1,2\na.jpg,nan,2\n", "line 3: .*not a.jpg,nan,2"),
        ("a.csv", "picture,x,y\na.jpg,1,-inf\n", "line 2: .*not a.jpg,1,-inf"),
        ("a.csv", "picture,x,y\n", "names no picture"),
        ("a.json", '{"a.jpg": [{}]}', "neither"),
        ("a.json", '{"a.jpg": [{"mask": "none.png"}]}', "none.png: No such file"),
        ("a.json", "[1]", "expected an object"),
        ("a.json", '{"a.jpg": [[1]]}', "a.jpg"),
        ("a.json", '{"a.jpg": [{"point": [1, 2]}]}', "unknown field point"),
        ("a.json", '{"a.jpg": [[NaN, 1]]}', r"a.jpg: \[nan, 1\] is neither"),
        ("a.json", '{"a.jpg": [[1, 1' + 400 * "0" + "]]}", "a.jpg: .*finite"),
        ("a.json", '{"a.jpg": [{"points": [[1, Infinity]]}]}', "a.jpg: .*finite"),
        ("a.json", '{"a.jpg": [{"box": [0, 0, 9, 1e999]}]}', "a.jpg: .*finite"),
        ("a.json", '{"a.jpg": [{"points": [[1, 1]], "labels": ["x"]}]}', "a.jpg: .*labels 1 or 0"),
        ("a.json", '{"a.jpg": [{"points": [[1, 1]], "labels": 1}]}', "a.jpg: .*labels 1 or 0"),
    ],
)
def test_a_bad_table_says_where(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PromptError, match=words):
        read_table(tmp_path / name)


@pytest.mark.parametrize("options", [(["nan,1"], []), ([], ["0,0,inf,9"])])
def test_options_that_are_no_finite_numbers_are_refused(options: tuple[list[str], list[str]]) -> None:
    at, boxes = options
    with pytest.raises(PromptError, match="numbers with commas"):
        prompts_from_options(at, [], boxes)


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


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The commands' service: what it answers, by call; bytes are files, the rest is JSON."""
    answers: dict[str, Any] = {"GET /health": {"status": "ok"}}

    def handle(request: httpx.Request) -> httpx.Response:
        request.read()
        answer = answers[f"{request.method} {request.url.path}"]
        return httpx.Response(200, **{"content" if isinstance(answer, bytes) else "json": answer})

    monkeypatch.setattr("tapcut_client.client.Client", partial(Client, transport=httpx.MockTransport(handle)))
    return answers


def typed(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.mark.parametrize("name", ["preview", "preview.docx", "preview.mpg", ".png"])
def test_a_preview_whose_name_is_no_pictures_is_refused_before_anything_is_sent(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "photo.png").write_bytes(png_bytes(scene()))
    done = typed(
        "preview", tmp_path / "photo.png", "--at", "1,1", "-o", tmp_path / name, "--url", "http://127.0.0.1:1"
    )
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit)
    assert len(done.stderr.splitlines()) == 1 and f"{name} does not end like" in done.stderr
    assert ".png, .jpg, .webp" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_a_preview_of_a_picture_made_smaller_tells_the_given_pictures_pixels(
    tmp_path: Path, answered: dict[str, Any]
) -> None:
    outline = {"score": 0.9, "area": 200, "bbox": [10, 20, 30, 30]}
    outline["polygons"] = [[[10, 20], [30, 20], [30, 30], [10, 30]]]
    answered |= {
        "POST /upload": {
            "job_id": JOB,
            "width": 60,
            "height": 40,
            "uploaded_width": 480,
            "uploaded_height": 320,
            "expires_at": "2030-01-01T00:00:00Z",
            "notes": [],
        },
        "POST /preview": {**outline, "candidates": []},
        f"GET /download/{JOB}/original.png": png_bytes(scene(60, 40)),
        f"DELETE /cleanup/{JOB}": {},
    }
    photo, mask = tmp_path / "photo.png", tmp_path / "mask.png"
    photo.write_bytes(png_bytes(scene()))
    command = ("preview", photo, "--at", "100,200", "--mask-only", "-o", mask)
    in_words = typed(*command).stderr
    assert "12800 pixels (8.3 %), box 80,160,240,240" in in_words
    assert "mask.png  (60x40, made smaller by the service from 480x320)" in in_words
    assert pixels_of(mask.read_bytes()).shape == (40, 60)
    told = json.loads(typed(*command, "--json").stdout)
    assert (told["width"], told["height"]) == (480, 320)
    (one,) = told["objects"]
    assert (one["area"], one["bbox"]) == (12800, [80, 160, 240, 240])
    assert one["polygons"] == [[[80, 160], [240, 160], [240, 240], [80, 240]]]


def test_a_download_of_one_file_goes_to_the_file_that_is_named(
    tmp_path: Path, answered: dict[str, Any]
) -> None:
    files = {name: name.encode() for name in ("mask_0.png", "result.json")}
    answered |= {f"GET /download/{JOB}/{name}": data for name, data in files.items()}
    (tmp_path / "folder.png").mkdir()
    for names, output, made in (
        (["mask_0.png"], "sub/clean.png", ["sub/clean.png"]),
        (["mask_0.png"], "folder", ["folder/mask_0.png"]),
        (["mask_0.png"], "folder.png", ["folder.png/mask_0.png"]),
        ([*files], "both.png", ["both.png/mask_0.png", "both.png/result.json"]),
    ):
        done = typed("download", JOB, *names, "-o", tmp_path / output)
        assert done.exit_code == 0, done.stderr
        for name, path in zip(names, made, strict=True):
            assert (tmp_path / path).read_bytes() == files[name]
