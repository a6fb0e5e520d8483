from __future__ import annotations

import hashlib
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.download import DownloadError, Patience, download_once
from tests.engine.file_server import FileServer, serving

CONTENT = os.urandom(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
QUICK = Patience(answer_s=2.0, silence_s=2.0, pause_s=0.01)


def fetch(server: FileServer, target: Path, **options: object) -> Path:
    options = {"patience": QUICK, "progress": False} | options
    return download_once(server.url, target, MD5, **options)  # type: ignore[arg-type]


def test_a_download_arrives_whole_and_leaves_no_piece(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT)) as server:
        path = fetch(server, tmp_path / "deep" / "file.pt")
    assert path.read_bytes() == CONTENT
    assert {entry.name for entry in path.parent.iterdir()} == {"file.pt", "file.pt.lock"}


def test_a_file_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "file.pt").write_bytes(CONTENT)
    with serving(FileServer(CONTENT)) as server:
        fetch(server, tmp_path / "file.pt")
    assert server.asked == []


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file.pt").write_bytes(CONTENT[:-1] + b"?")
    with serving(FileServer(CONTENT)) as server:
        assert fetch(server, tmp_path / "file.pt").read_bytes() == CONTENT


def test_a_server_that_names_no_length_is_read_to_its_end(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT, length=False)) as server:
        assert fetch(server, tmp_path / "file.pt").read_bytes() == CONTENT


def test_a_server_that_hangs_up_is_resumed_where_it_stopped(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT, cut_after=[100_000, 50_000, 1])) as server:
        assert fetch(server, tmp_path / "file.pt").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=150000-", "bytes=150001-"]


def test_a_download_killed_earlier_is_resumed(tmp_path: Path) -> None:
    (tmp_path / "file.pt.part").write_bytes(CONTENT[:123])
    with serving(FileServer(CONTENT)) as server:
        assert fetch(server, tmp_path / "file.pt").read_bytes() == CONTENT
    assert server.asked == ["bytes=123-"]


def test_a_piece_that_is_already_whole_is_taken(tmp_path: Path) -> None:
    (tmp_path / "file.pt.part").write_bytes(CONTENT)
    with serving(FileServer(CONTENT)) as server:
        assert fetch(server, tmp_path / "file.pt").read_bytes() == CONTENT


@pytest.mark.parametrize("piece", [b"of another file", CONTENT + b"too long"], ids=["other file", "too long"])
def test_a_piece_of_another_file_is_thrown_away(tmp_path: Path, piece: bytes) -> None:
    (tmp_path / "file.pt.part").write_bytes(piece)
    with serving(FileServer(CONTENT)) as server:
        assert fetch(server, tmp_path / "file.pt").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT, ranges=False, cut_after=[100_000])) as server:
        assert fetch(server, tmp_path / "file.pt").read_bytes() == CONTENT


def test_a_server_that_keeps_hanging_up_is_given_up_and_its_piece_kept(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT, cut_after=[1000, 0, 0, 0])) as server:
        with pytest.raises(DownloadError, match="closed early"):
            fetch(server, tmp_path / "file.pt")
        assert (tmp_path / "file.pt.part").stat().st_size == 1000
        assert fetch(server, tmp_path / "file.pt", retry=True).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=1000-"


def test_a_slow_server_is_waited_for(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT, pause_s=0.15)) as server:
        patience = Patience(answer_s=2.0, silence_s=0.6, pause_s=0.01)
        assert fetch(server, tmp_path / "file.pt", patience=patience).read_bytes() == CONTENT


def test_a_wrong_file_is_deleted_and_named(tmp_path: Path) -> None:
    with (
        serving(FileServer(b"<html>please log in</html>")) as server,
        pytest.raises(DownloadError, match=f"{server.url} sent another file than expected"),
    ):
        fetch(server, tmp_path / "file.pt")
    assert {entry.name for entry in tmp_path.iterdir()} == {"file.pt.lock", "file.pt.failed"}


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_refusal_is_reported_with_its_code(tmp_path: Path, status: int) -> None:
    with (
        serving(FileServer(CONTENT, status=status)) as server,
        pytest.raises(DownloadError, match=str(status)),
    ):
        fetch(server, tmp_path / "file.pt")
    assert len(server.asked) == 1
    assert {entry.name for entry in tmp_path.iterdir()} == {"file.pt.lock", "file.pt.failed"}


def test_a_silent_server_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file.pt"
        started = time.monotonic()
        with pytest.raises(DownloadError, match=r"no answer within 0.3 s"):
            download_once(url, tmp_path / "file.pt", MD5, patience=Patience(answer_s=0.3, silence_s=1.0))
        assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/x", "http://nowhere.invalid/x", "file:///etc/hostname", "x", "http://[::1", ""],
)
def test_an_address_that_cannot_be_reached_fails_soon(tmp_path: Path, url: str) -> None:
    started = time.monotonic()
    with pytest.raises(DownloadError):
        download_once(url, tmp_path / "file.pt", MD5)
    assert time.monotonic() - started < 6


def test_a_failure_is_remembered_until_it_is_old_or_a_retry_is_asked(tmp_path: Path) -> None:
    target = tmp_path / "file.pt"
    with serving(FileServer(CONTENT, status=404)) as server:
        with pytest.raises(DownloadError):
            fetch(server, target)
        server.status = 200
        with pytest.raises(DownloadError, match=r"404 Not Found .*tried again after 600 s"):
            fetch(server, target)
        assert len(server.asked) == 1
        old = time.time() - 601
        os.utime(tmp_path / "file.pt.failed", (old, old))
        assert fetch(server, target).read_bytes() == CONTENT
        assert not (tmp_path / "file.pt.failed").exists()


def test_a_failure_at_one_address_keeps_nobody_from_another(tmp_path: Path) -> None:
    target = tmp_path / "file.pt"
    with pytest.raises(DownloadError, match="is not an http"):
        download_once("mirror.example/file.pt", target, MD5)
    with serving(FileServer(CONTENT)) as server:
        assert fetch(server, target).read_bytes() == CONTENT


def test_a_remembered_failure_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "file.pt.failed").write_bytes(b"\xff\xfe, cut off")
    with serving(FileServer(CONTENT)) as server:
        assert fetch(server, tmp_path / "file.pt").read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_fails_plainly(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with serving(FileServer(CONTENT)) as server, pytest.raises(DownloadError, match="cannot keep"):
        fetch(server, tmp_path / "taken" / "file.pt")


def test_processes_that_race_fetch_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from engine.download import download_once;"
        "print(download_once(sys.argv[1], Path(sys.argv[2]), sys.argv[3], progress=False))"
    )
    with serving(FileServer(CONTENT, chunk_bytes=30_000, pause_s=0.1)) as server:
        arguments = [sys.executable, "-c", program, server.url, str(tmp_path / "file.pt"), MD5]
        racers = [subprocess.Popen(arguments, stderr=subprocess.PIPE) for _ in range(4)]
        problems = [racer.communicate(timeout=60)[1] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0, 0], problems
    assert (tmp_path / "file.pt").read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_processes_that_race_for_an_unreachable_file_wait_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from engine.download import *;\n"
        "try: download_once(sys.argv[1], Path(sys.argv[2]), 'no', progress=False)\n"
        "except DownloadError as error: print(error)"
    )
    with serving(FileServer(CONTENT, status=503, answer_after_s=0.5)) as server:
        arguments = [sys.executable, "-c", program, server.url, str(tmp_path / "file.pt")]
        racers = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        answers = [racer.communicate(timeout=60)[0] for racer in racers]
    assert all("503" in answer for answer in answers), answers
    assert len(server.asked) == 1


def test_progress_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving(FileServer(CONTENT, cut_after=[1000])) as server:
        fetch(server, tmp_path / "file.pt", progress=True)
    assert [record.message for record in caplog.records] == [
        f"fetching {server.url}",
        "file.pt was cut off after 1,000 bytes (the connection was closed early); resuming",
        f"fetched {tmp_path / 'file.pt'} (300,000 bytes, MD5 verified)",
    ]
