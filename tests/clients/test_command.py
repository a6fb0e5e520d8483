"""The `tapcut` command against the running service, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.service.pictures import DISC, SQUARE, pixels_of, png_bytes, scene

TAPCUT = [str(Path(sys.executable).with_name("tapcut"))]


def tapcut(*arguments: object, url: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        TAPCUT + [str(one) for one in arguments],
        env={**os.environ, "TAPCUT_URL": url, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def at(point: tuple[int, int]) -> str:
    return f"{point[0]},{point[1]}"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(png_bytes(scene()))
    return path


def test_remove_writes_the_clean_picture(service_url: str, photo: Path) -> None:
    clean = photo.with_name("clean.png")
    done = tapcut("remove", photo, "--at", at(DISC), "-o", clean, url=service_url)
    assert done.returncode == 0, done.stderr
    before, after = pixels_of(photo.read_bytes()), pixels_of(clean.read_bytes())
    assert after.shape == before.shape
    assert abs(after[DISC[1], DISC[0]].astype(int) - before[DISC[1], DISC[0]]).max() > 60


def test_remove_takes_the_format_from_the_results_name(service_url: str, photo: Path) -> None:
    done = tapcut("remove", photo, "--at", at(DISC), "-o", photo.with_name("a.webp"), url=service_url)
    assert done.returncode == 0, done.stderr
    with Image.open(photo.with_name("a.webp")) as image:
        assert image.format == "WEBP"


def test_extract_numbers_several_objects(service_url: str, photo: Path) -> None:
    done = tapcut("extract", photo, "--at", at(DISC), "--at", at(SQUARE), "--masks", url=service_url)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in photo.parent.iterdir()} - {"photo.png"}
    assert made == {"photo.cut-0.png", "photo.cut-1.png", "photo.cut.mask-0.png", "photo.cut.mask-1.png"}
    assert pixels_of((photo.parent / "photo.cut-0.png").read_bytes()).shape[2] == 4


def test_a_folder_with_a_table_goes_on_where_it_was(service_url: str, tmp_path: Path) -> None:
    photos, results = tmp_path / "photos", tmp_path / "results"
    photos.mkdir()
    for number in range(4):
        (photos / f"{number}.png").write_bytes(png_bytes(scene(seed=number)))
    (photos / "broken.png").write_bytes(b"no picture")
    table = tmp_path / "points.csv"
    rows = [f"{number}.png,{DISC[0]},{DISC[1]}" for number in range(4)] + ["broken.png,1,1"]
    table.write_text("\n".join(["picture,x,y", *rows]))
    command = ("extract", photos, "--points", table, "-o", results, "--json")
    first = tapcut(*command, url=service_url)
    told = {Path(one["picture"]).name: one for one in map(json.loads, first.stdout.splitlines())}
    assert first.returncode == 1 and "4 done, 0 were there, 1 failed" in first.stderr
    assert "unidentified image file" in told["broken.png"]["error"]
    assert sorted(path.name for path in results.glob("*.png")) == [f"{number}.cut.png" for number in range(4)]
    (results / "2.cut.png").unlink()
    (photos / "3.png").write_bytes(png_bytes(scene(seed=33)))
    again = tapcut(*command, url=service_url)
    assert "2 done, 2 were there, 1 failed" in again.stderr
    assert (results / "2.cut.png").exists()


def test_ctrl_c_keeps_what_is_done_and_cleans_up(service_url: str, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(12):
        (photos / f"{number:02}.png").write_bytes(png_bytes(scene(seed=number)))
    command = [*TAPCUT, "remove", str(photos), "--at", at(DISC), "-o", str(tmp_path / "out"), "-j", "2"]
    environment = {**os.environ, "TAPCUT_URL": service_url}
    running = subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # Who runs the tests in the background has them ignore Ctrl-C, and their children with them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("*.png")):
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 130 and "interrupted" in errors and "Traceback" not in errors
    assert not list((tmp_path / "out").glob(".*.part"))
    assert httpx.get(f"{service_url}/metrics").text.count('tapcut_jobs{state="processing"} 0') == 1
    rest = tapcut("remove", photos, "--at", at(DISC), "-o", tmp_path / "out", url=service_url)
    assert rest.returncode == 0 and " 0 were there" not in rest.stderr, rest.stderr


def test_preview_draws_the_mask(service_url: str, photo: Path) -> None:
    drawn = tapcut("preview", photo, "--at", at(DISC), url=service_url)
    assert drawn.returncode == 0 and "\u2580" in drawn.stdout and "score" in drawn.stderr
    target = photo.with_name("tinted.png")
    assert tapcut("preview", photo, "--at", at(DISC), "-o", target, url=service_url).returncode == 0
    tinted, plain = pixels_of(target.read_bytes()).astype(int), scene().astype(int)
    assert abs(tinted[DISC[1], DISC[0]] - plain[DISC[1], DISC[0]]).max() > 30
    assert np.array_equal(tinted[5, 5], plain[5, 5])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["remove", "nothing.png", "--at", "1,1"], 2, "no such file"),
        (["remove", "photo.png"], 2, "say which object"),
        (["remove", "photo.png", "--at", "left"], 2, "--at 250,300"),
        (["extract", "photo.png", "--not", "1,1"], 2, "--not"),
        (["remove", "photo.png", "--at", "9999,1"], 1, "outside"),
        (["remove", "photo.png", "--at", "1,1", "--url", "http://127.0.0.1:1"], 3, "is it running?"),
    ],
)
def test_exit_codes_and_words(
    service_url: str, photo: Path, arguments: list[str], code: int, words: str
) -> None:
    done = tapcut(*[str(photo) if one == "photo.png" else one for one in arguments], url=service_url)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
