"""The `tapcut` command against the running service, as a process of its own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from tapcut_client.command.app import app
from typer.testing import CliRunner

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
    lettered = tapcut("preview", photo, "--at", at(DISC), url=service_url)
    assert lettered.returncode == 0 and "score" in lettered.stderr
    rows = lettered.stdout.splitlines()
    there = rows[DISC[1] * len(rows) // 320][DISC[0] * len(rows[0]) // 480]
    assert (there, rows[0][0]) == ("#", "."), lettered.stdout
    coloured = tapcut(
        "preview", photo, "--at", at(DISC), url=service_url, FORCE_COLOR="1", COLORTERM="truecolor"
    )
    assert "\x1b[38;2;" in coloured.stdout and "\u2580" in coloured.stdout
    target = photo.with_name("tinted.png")
    assert tapcut("preview", photo, "--at", at(DISC), "-o", target, url=service_url).returncode == 0
    tinted, plain = pixels_of(target.read_bytes()).astype(int), scene().astype(int)
    assert abs(tinted[DISC[1], DISC[0]] - plain[DISC[1], DISC[0]]).max() > 30
    assert np.array_equal(tinted[5, 5], plain[5, 5])
    mask = photo.with_name("mask.png")
    told = tapcut(
        "preview", photo, "--box", "280,130,380,230", "--mask-only", "-o", mask, "--json", url=service_url
    )
    (found,) = json.loads(told.stdout)["objects"]
    assert np.count_nonzero(pixels_of(mask.read_bytes())) == pytest.approx(found["area"], rel=0.03)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["remove", "nothing.png", "--at", "1,1"], 2, "no such file"),
        (["remove", "photo.png"], 2, "say which object"),
        (["remove", "photo.png", "--at", "left"], 2, "--at 250,300"),
        (["extract", "photo.png", "--not", "1,1"], 2, "--not"),
        (["remove", "photo.png", "--at", "9999,1"], 1, "outside the picture of 480x320"),
        (["remove", "photo.png", "--at", "1,1", "--url", "http://127.0.0.1:1"], 3, "make serve"),
        (["remove", "photo.png", "--at", "1,1", "--url", "localhost"], 2, "http://host:port"),
        (["remove", "photo.png", "--at", "1,1", "-o", "no/such/folder/x.tiff"], 2, ".webp"),
        (["preview", "photo.png", "--at", "1,1", "-o", "no/such/folder/x.png"], 1, "No such file"),
        (["preview", "nothing.png", "--at", "1,1"], 1, "nothing.png: No such file"),
        (["remove"], 2, "--points"),
        (["cleanup", "0" * 32], 1, "no such job"),
        (["status", "0" * 32], 1, "Job not found"),
    ],
)
def test_exit_codes_and_words(
    service_url: str, photo: Path, arguments: list[str], code: int, words: str
) -> None:
    typed = [str(photo) if one == "photo.png" else one for one in arguments]
    done = CliRunner().invoke(app, typed, env={"TAPCUT_URL": service_url})
    assert (done.exit_code, words in done.stderr) == (code, True), done.stderr
    assert isinstance(done.exception, SystemExit)


def test_nothing_is_overwritten_unasked(service_url: str, photo: Path) -> None:
    clean = photo.with_name("clean.jpeg")
    clean.write_bytes(b"dear")
    command = ("remove", photo, "--at", at(DISC), "-o", clean)
    refused = tapcut(*command, url=service_url)
    assert refused.returncode == 1 and "--overwrite" in refused.stderr and clean.read_bytes() == b"dear"
    assert tapcut(*command, "--overwrite", url=service_url).returncode == 0
    with Image.open(clean) as image:
        assert image.format == "JPEG"


def test_everything_that_the_service_offers_can_be_asked_for(service_url: str, photo: Path) -> None:
    mask = photo.with_name("mask.png")
    mask.write_bytes(png_bytes(np.pad(np.full((60, 60), 255, np.uint8), ((200, 60), (20, 400)))))
    options = ("--normalized", "--at", f"{DISC[0] / 480},{DISC[1] / 320}", "--not", "0.9,0.1")
    rings = ("--dilate", "4", "--feather", "0", "--each", "--format", "webp")
    done = tapcut("remove", photo, *options, "--mask", mask, *rings, "--json", "--keep", url=service_url)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [Path(one).name for one in told["files"]] == ["photo.clean-0.webp", "photo.clean-1.webp"]
    assert told["objects"][1]["bbox"] == [20, 200, 80, 260]
    without_mask = pixels_of((photo.parent / "photo.clean-1.webp").read_bytes()).astype(int)
    assert (
        abs(without_mask[DISC[1], DISC[0]] - scene()[DISC[1], DISC[0]]).max() < 40
    )  # the disc is still in it
    status = tapcut("status", told["job_id"], url=service_url)
    assert status.stdout.startswith("ready, 100%") and "inpainted_1.webp" in status.stdout
    fetched = tapcut("download", told["job_id"], "result.json", "-o", photo.with_name("x"), url=service_url)
    assert fetched.returncode == 0 and json.loads((photo.parent / "x" / "result.json").read_text())["objects"]
    assert tapcut("cleanup", told["job_id"], url=service_url).returncode == 0


def counted(service_url: str, series: str) -> float:
    lines = httpx.get(f"{service_url}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(series))


def test_a_killed_batch_goes_on_and_no_picture_is_done_twice(service_url: str, tmp_path: Path) -> None:
    photos, results = tmp_path / "photos", tmp_path / "results"
    photos.mkdir()
    for number in range(20):
        (photos / f"{number:02}.png").write_bytes(png_bytes(scene(240, 160, seed=number)))
    ended = counted(service_url, "tapcut_jobs_ended_total")
    kept = counted(service_url, 'tapcut_jobs{state="ready"}')
    command = [*TAPCUT, "extract", str(photos), "--box", "95,65,205,159", "-o", str(results)]
    running = subprocess.Popen(command, env={**os.environ, "TAPCUT_URL": service_url}, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(list(results.glob("*.png"))) < 4:
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.02)
    running.kill()
    running.communicate(timeout=10)
    there = len(list(results.glob("*.png")))
    rest = tapcut(*command[1:], url=service_url)
    assert rest.returncode == 0, rest.stderr
    assert "20 done" not in rest.stderr and "[20/20]" in rest.stderr
    assert sorted(path.name for path in results.glob("*.png")) == [
        f"{number:02}.cut.png" for number in range(20)
    ]
    assert 4 <= there < 20 and counted(service_url, "tapcut_jobs_ended_total") - ended == 20
    left = [path.name for path in results.iterdir() if path.suffix != ".png"]
    assert left == [".tapcut-batch.jsonl"]
    assert counted(service_url, 'tapcut_jobs{state="ready"}') == kept  # none is left at the service


def test_a_terminal_shows_bars_with_stage_and_time_left(service_url: str, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number} [bold].png").write_bytes(png_bytes(scene(240, 160, seed=number)))
    shown = in_a_terminal([*TAPCUT, "extract", str(tmp_path), "--box", "95,65,205,159", "--url", service_url])
    assert "all pictures" in shown and "3/3" in shown and "[bold].png -> " in shown
    assert re.search(r"(uploading|queued|decoding|encoding|segment\w*|cutting out|composing)", shown)
    assert re.search(r"\d:\d\d", shown) and "\x1b[32m" in shown
    plain = in_a_terminal(
        [*TAPCUT, "extract", str(tmp_path), "--box", "95,65,205,159", "--url", service_url], NO_COLOR="1"
    )
    assert "3 were there" in plain and "\x1b[32m" not in plain


def in_a_terminal(command: list[str], **environment: str) -> str:
    """What `command` writes when its output is a terminal of 100 columns."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    running = subprocess.Popen(
        command,
        env={**inherited, "TERM": "xterm-256color", **environment},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            shown += os.read(leader, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
    os.close(leader)
    running.wait(60)
    return shown.decode()


COMPLETE = """
eval "$(tapcut completion bash)"
COMP_WORDS=({words}); COMP_CWORD={last}
_tapcut_completion tapcut
echo "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ext", "extract"),
        ("remove --dil", "--dilate"),
        ("remove --format w", "webp"),
        ("completion z", "zsh"),
    ],
)
def test_bash_completes(typed: str, expected: str) -> None:
    script = COMPLETE.format(words=f"tapcut {typed}", last=len(typed.split()))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = subprocess.run(
        ["bash", "--norc", "-c", script], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert found.stdout.split() == [expected], found.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_take_their_script(shell: str, tmp_path: Path) -> None:
    script = tapcut("completion", shell).stdout
    assert "complete_" + shell in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    (tmp_path / "script").write_text(script)
    assert subprocess.run([shell, "-n", str(tmp_path / "script")]).returncode == 0


def test_help_starts_without_what_it_does_not_need() -> None:
    code = "import sys, tapcut_client.command.app; print({'httpx', 'PIL', 'ray'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "set()", found.stderr
