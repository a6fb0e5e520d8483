"""Downloads that go on where they broke off, also in another process.

Owns ranges, and the check that it is still the same file. Where the bytes go is a sink's business.
"""

from __future__ import annotations

import re
from typing import Protocol

from tapcut_client.errors import ApiError, ConnectionFailed, DownloadBroken
from tapcut_client.pictures import Progress
from tapcut_client.retry import RetryPolicy, with_retries
from tapcut_client.steps import Operation, Reply, Send


class Sink(Protocol):
    """Where a download goes. `size`: bytes it holds so far; `etag`: of the file that they belong to."""

    size: int
    etag: str

    def restart(self, etag: str) -> None:
        """Forget everything; what comes now belongs to `etag`."""

    def write(self, chunk: bytes) -> None:
        """Append."""


class MemorySink:
    """A download kept in memory."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.size = 0
        self.etag = ""

    def restart(self, etag: str) -> None:
        """Forget everything; what comes now belongs to `etag`."""
        self._data.clear()
        self.size, self.etag = 0, etag

    def write(self, chunk: bytes) -> None:
        """Append."""
        self._data += chunk
        self.size = len(self._data)

    def data(self) -> bytes:
        """All of it."""
        return bytes(self._data)


def download(
    policy: RetryPolicy, job_id: str, filename: str, sink: Sink, on_progress: Progress | None
) -> Operation[None]:
    """`GET /download` into `sink`; every try goes on after what the sink holds.

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
            # Nothing comes after what is there: it is whole already, or of a file that was longer.
            sink.restart("")
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

    def headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if self._sink.size and self._sink.etag:
            # With If-Range a file that has changed comes whole instead of a piece that does not fit.
            headers |= {"Range": f"bytes={self._sink.size}-", "If-Range": self._sink.etag}
        return headers

    def begins(self, reply: Reply) -> None:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", reply.headers.get("content-range", ""))
        if reply.status == 206 and span and int(span[1]) == self._sink.size:
            self.total = int(span[2])
        else:
            self._sink.restart(reply.headers.get("etag", ""))
            length = reply.headers.get("content-length", "")
            self.total = int(length) if length.isdigit() else None

    def continues(self, chunk: bytes) -> None:
        self._sink.write(chunk)
        if self._on_progress is not None:
            self._on_progress(self._sink.size, self.total or 0)
