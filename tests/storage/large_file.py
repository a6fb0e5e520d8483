"""Put 50 MB into a bucket and answer requests for it; print by how many MB the process grew, and the answers.

python -m tests.storage.large_file STORE_URL FOLDER
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import sys
import threading
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from deployments.http.stored_file import StoredFileResponse
from storage.files import job_key
from storage.open_store import open_store

SIZE, TAIL = 50_000_000, 3_000_000


class Growth:
    """The most that the process's own memory (not that of mapped files) grew inside the context, MB."""

    def __enter__(self) -> Growth:
        self.mb = 0.0
        self._first = _own_mb()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.005):
            self.mb = max(self.mb, _own_mb() - self._first)


def _own_mb() -> float:
    found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1000


async def answer(response: StoredFileResponse, wanted: str | None) -> tuple[int, str]:
    """Status and digest of what a client would get."""
    digest, status = hashlib.sha256(), 0

    async def send(message: dict) -> None:
        nonlocal status
        status = message.get("status", status)
        digest.update(message.get("body", b""))

    headers = [] if wanted is None else [(b"range", wanted.encode())]
    scope = {"type": "http", "method": "GET", "headers": headers, "asgi": {"spec_version": "2.4"}}
    await response(scope, None, send)
    return status, digest.hexdigest()


async def main(store_url: str, folder: Path) -> None:
    files, job_id = open_store(store_url, folder), uuid4().hex
    key = job_key(job_id, "original.png")
    files.make_job(job_id)
    upload = files.new_upload()
    block = bytes(range(256)) * 3907
    with upload.open("wb") as file:
        while file.tell() < SIZE:
            file.write(block[: SIZE - file.tell()])
    with upload.open("rb") as file:
        file.seek(-TAIL, os.SEEK_END)
        tail = hashlib.sha256(file.read()).hexdigest()
    with closing(files.open(_small(files, job_id))) as warm:
        warm.read(0, 1)
    with Growth() as sent:
        files.put_file(key, upload)
    good = 0
    with Growth() as read:
        for wanted in (None, f"bytes={SIZE - TAIL}-", f"bytes=-{TAIL}"):
            status = 200 if wanted is None else 206
            told, digest = await answer(StoredFileResponse(files.open(key), "image/png", {}), wanted)
            good += told == status and (wanted is None or digest == tail)
    files.delete_job(job_id)
    print(sent.mb, read.mb, good)


def _small(files: object, job_id: str) -> str:
    key = job_key(job_id, "mask_0.png", 1)
    files.put(key, b"x" * 1000)  # type: ignore[attr-defined]
    return key


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
