"""A stored file as an HTTP answer, whichever store it lies in.

Owns the reading of the file piece by piece while the client takes it. Ranges, If-Range and HEAD are
Starlette's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from storage.files import OpenFile


class StoredFileResponse(FileResponse):
    """Answers with `file` or the ranges of it that are asked for, and closes it."""

    chunk_size = 1 << 20  # held by each download at once; of an object store, one request each

    def __init__(self, file: OpenFile, media_type: str, headers: Mapping[str, str]) -> None:
        stat = file.stat
        times = (int(stat.modified),) * 3
        super().__init__(
            "",
            media_type=media_type,
            stat_result=os.stat_result((0o100444, 0, 0, 1, 0, 0, stat.size, *times)),
            headers={
                **headers,
                "ETag": f'"{stat.etag}"',
                "Last-Modified": formatdate(stat.modified, usegmt=True),
            },
        )
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[Any]:  # where Starlette opens a path
        yield _Cursor(self._file)


class _Cursor:
    """The part of an asynchronous file that Starlette uses."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._at = 0

    async def seek(self, start: int) -> None:
        self._at = start

    async def read(self, length: int) -> bytes:
        length = min(length, self._file.stat.size - self._at)
        if length <= 0:
            return b""
        data = await asyncio.to_thread(self._file.read, self._at, length)
        self._at += len(data)
        return data
