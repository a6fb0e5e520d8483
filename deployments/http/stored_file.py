"""A stored file as an HTTP answer, whichever store it lies in.

Owns the reading of the file piece by piece while the client takes it, and what becomes of ranges that cannot
be answered. Ranges that can, If-Range and HEAD are Starlette's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import FileResponse, MalformedRangeHeader, RangeNotSatisfiable
from starlette.staticfiles import NotModifiedResponse
from starlette.types import Receive, Scope, Send

from deployments.http.problems import RangeRefusedError
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
        """Send it, or say that the client has it already.

        Raises:
            RangeRefusedError: the range that is asked for lies outside the file.
        """
        try:
            if self._is_known(Headers(scope=scope)):
                await NotModifiedResponse(self.headers)(scope, receive, send)
            else:
                await super().__call__(scope, receive, send)
        finally:
            self._file.close()

    def _is_known(self, headers: Headers) -> bool:
        tags = [tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")]
        return "*" in tags or self.headers["etag"] in tags

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        try:
            return super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            return []  # RFC 9110, 14.2: as if there were none
        except RangeNotSatisfiable as error:
            raise RangeRefusedError(file_size) from error

    @classmethod
    def _parse_ranges(cls, range_: str, file_size: int) -> list[tuple[int, int]]:
        ranges = super()._parse_ranges(range_, file_size)
        return [one for one in ranges if one[0] < file_size] or ranges

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
