"""The Python client and files: sent in pieces, fetched on from where a process was killed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import BinaryIO

import httpx
import pytest
import tapcut_client
from tapcut_client import Client, Upload

from tests.engine.file_server import FileServer, serving

JOB = "0123456789abcdef0123456789abcdef"
CONTENT = bytes(range(256)) * 8000
FETCH = "import sys; from tapcut_client import Client; Client(sys.argv[1]).download_to(*sys.argv[2:])"


def address(server: FileServer) -> str:
    return server.url.rpartition("/")[0]


def killed_midway(server: FileServer, target: Path) -> int:
    """A process that downloads to `target` is killed; how many bytes it had by then."""
    part = target.with_name(f".{target.name}.part")
    running = subprocess.Popen([sys.executable, "-c", FETCH, address(server), JOB, "a.png", str(target)])
    deadline = time.monotonic() + 30
    while not part.exists() or part.stat().st_size < 300_000:
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.005)
    running.kill()
    running.wait(10)
    return part.stat().st_size


def test_a_killed_download_goes_on_in_another_process(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    with serving(FileServer(CONTENT, etag='"one"', pause_s=0.02)) as server:
        before = killed_midway(server, target)
        assert not target.exists()
        server.pause_s = 0
        told: list[int] = []
        with Client(address(server)) as client:
            client.download_to(JOB, "a.png", target, on_progress=lambda done, _: told.append(done))
    assert target.read_bytes() == CONTENT
    assert server.asked[-1] == f"bytes={before}-" and told[0] > before
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("changed", ["the file", "the job"])
def test_a_killed_download_of_something_else_begins_anew(tmp_path: Path, changed: str) -> None:
    target = tmp_path / "a.png"
    with serving(FileServer(CONTENT, etag='"one"', pause_s=0.02)) as server:
        killed_midway(server, target)
        server.pause_s, server.content = 0, CONTENT[::-1]
        if changed == "the file":
            # A server answers If-Range with another ETag by the whole file.
            server.ranges, server.etag = False, '"two"'
        with Client(address(server)) as client:
            client.download_to(JOB if changed == "the file" else "f" * 32, "a.png", target)
    assert target.read_bytes() == CONTENT[::-1]
    assert (server.asked[-1] is None) == (changed == "the job")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_two_downloads_never_mix_in_one_file(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    with (
        serving(FileServer(CONTENT, etag='"one"')) as server,
        Client(address(server)) as client,
        Client(address(server)) as other,
    ):

        def meanwhile(done: int, total: int) -> None:
            with pytest.raises(tapcut_client.DownloadBroken, match="another download"):
                other.download_to(JOB, "a.png", target)

        client.download_to(JOB, "a.png", target, on_progress=meanwhile)
    assert target.read_bytes() == CONTENT


def test_a_refused_download_leaves_nothing_behind(tmp_path: Path) -> None:
    with (
        serving(FileServer(CONTENT, status=404)) as server,
        Client(address(server)) as client,
        pytest.raises(tapcut_client.NotFound),
    ):
        client.download_to(JOB, "a.png", tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


class Receiver(httpx.BaseTransport):
    """A network that takes an upload piece by piece; with `cut`, breaks the first one off."""

    def __init__(self, cut: bool) -> None:
        self.bodies: list[int] = []
        self.last = b""
        self._cut = cut

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        size, self.last = 0, b""
        for chunk in request.stream:
            size += len(chunk)
            self.last = (self.last + chunk)[-300_000:]
            if self._cut and size > 50_000:
                self._cut = False
                raise httpx.WriteError("cut")
        self.bodies.append(size)
        return httpx.Response(200, json={**dict.fromkeys(Upload.__dataclass_fields__, 1), "notes": []})


def uploaded(source: object) -> bytes:
    """What arrives when `source` is uploaded and the first try breaks off in the middle."""
    receiver = Receiver(cut=True)
    with Client("http://service", transport=receiver) as client:
        client.upload(source)  # type: ignore[arg-type]
    return receiver.last


class Pipe(io.RawIOBase):
    """Bytes that can be read once."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._file.readinto(buffer)


def test_everything_that_can_be_read_can_be_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(CONTENT[:200_000])
    at_end = io.BytesIO(CONTENT[:200_000])
    at_end.seek(0, os.SEEK_END)
    with path.open("rb") as opened:
        for source in (path, str(path), CONTENT[:200_000], at_end, opened, Pipe(CONTENT[:200_000])):
            assert CONTENT[:200_000] in uploaded(source)
        assert not opened.closed


def test_a_large_file_is_sent_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    size = 50_000_000
    with path.open("wb") as file:
        file.truncate(size)
    receiver = Receiver(cut=False)

    def send(source: Path | BinaryIO) -> None:
        with Client("http://service", transport=receiver) as client:
            client.upload(source, on_progress=lambda done, total: None)

    with path.open("rb") as opened:
        tracemalloc.start()
        try:
            send(path)
            send(opened)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(receiver.bodies) == 2 and min(receiver.bodies) > size and peak < 3_000_000, peak
