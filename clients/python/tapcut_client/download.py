"""Downloads that go on where they broke off.

Owns ranges, the check that it is still the same file, and where the bytes go.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

from tapcut_client.errors import ApiError, ConnectionFailed, DownloadBroken
from tapcut_client.pictures import Progress
from tapcut_client.retry import RetryPolicy, with_retries
from tapcut_client.steps import Operation, Reply, Send


class Sink(Protocol):
    """Where a download goes. `size`: bytes it holds so far."""

    size: int

    def write(self, chunk: bytes) -> None:
        """Append."""

    def restart(self) -> None:
        """Forget everything."""


class MemorySink:
    """A download kept in memory."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Append."""
        self._data += chunk
        self.size = len(self._data)

    def restart(self) -> None:
        """Forget everything."""
        self._data.clear()
        self.size = 0

    def data(self) -> bytes:
        """All of it."""
        return bytes(self._data)


class FileSink:
    """A download into a file, which has its name only when it is whole. A context manager."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._file = self._part.open("wb")
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Append."""
        self._file.write(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Forget everything."""
        self._file.seek(0)
        self._file.truncate()
        self.size = 0

    def finish(self) -> Path:
        """Give the file its name."""
        self._file.close()
        self._part.replace(self.path)
        return self.path

    def __enter__(self) -> FileSink:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


def download(
    policy: RetryPolicy, job_id: str, filename: str, sink: Sink, on_progress: Progress | None
) -> Operation[None]:
    """`GET /download` into `sink`; every try goes on where the one before broke off.

    Tries that brought bytes do not count against the policy.

    Raises:
        DownloadBroken: it kept breaking off without a byte.
        NotFound: no such job or file.
    """
    state = _Transfer(sink, on_progress)

    def make() -> Send:
        return Send(
            "GET",
            f"/download/{job_id}/{filename}",
            headers=state.headers(),
            on_reply=state.begins,
            on_chunk=state.continues,
        )

    while True:
        before = sink.size
        try:
            yield from with_retries(policy, make)
        except ConnectionFailed as error:
            if sink.size == before:
                raise DownloadBroken(f"{filename}: broke off after {sink.size} bytes: {error}") from error
            continue
        except ApiError as error:
            if error.status != 416 or not sink.size:
                raise
            sink.restart()  # the file has been replaced by a shorter one
            continue
        if state.total is None or sink.size == state.total:
            return
        if sink.size == before:
            raise DownloadBroken(f"{filename}: {sink.size} of {state.total} bytes arrived")


class _Transfer:
    """What is known of the file over all tries."""

    def __init__(self, sink: Sink, on_progress: Progress | None) -> None:
        self.total: int | None = None
        self._sink = sink
        self._on_progress = on_progress
        self._etag = ""

    def headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if self._sink.size and self._etag:
            # With If-Range a file that has changed comes whole instead of a piece that does not fit.
            headers |= {"Range": f"bytes={self._sink.size}-", "If-Range": self._etag}
        return headers

    def begins(self, reply: Reply) -> None:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", reply.headers.get("content-range", ""))
        if reply.status == 206 and span and int(span[1]) == self._sink.size:
            self.total = int(span[2])
        else:
            self._sink.restart()
            length = reply.headers.get("content-length", "")
            self.total = int(length) if length.isdigit() else None
        self._etag = reply.headers.get("etag", "")

    def continues(self, chunk: bytes) -> None:
        self._sink.write(chunk)
        if self._on_progress is not None:
            self._on_progress(self._sink.size, self.total or 0)
