"""Streaming of one uploaded file to disk under a limit.

Owns the reading of `multipart/form-data` with exactly one part `file`: bytes go to disk as they
arrive, counted, and are never held in memory. Does not look inside the file.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from deployments.http.problems import FieldsRefusedError, UploadRefusedError
from storage.errors import StoreFull

FORM_OVERHEAD_BYTES = 16_384  # boundaries and headers around the file
FLUSH_BYTES = 1 << 18  # held by each upload at once
MAX_TYPE = 1024  # characters of Content-Type: reading its parameters takes the square of their number


async def receive_file(request: Request, target: Path, *, max_bytes: int) -> int:
    """Write the request's one file part to `target`; answer its size in bytes.

    Raises:
        UploadRefusedError: too large, empty, cut off, or not a form with a part `file`.
        FieldsRefusedError: the form has a field of another name.
        StoreFull: no room for it.
    """
    try:
        return await _receive(request, target, max_bytes)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull("No space left to receive an upload") from error
        raise


async def _receive(request: Request, target: Path, max_bytes: int) -> int:
    declared_type = request.headers.get("content-type", "")
    kind, options = parse_options_header(declared_type if len(declared_type) <= MAX_TYPE else "")
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise UploadRefusedError('send the picture as multipart/form-data in a field named "file"')
    too_large = UploadRefusedError(f"the file is larger than the limit of {max_bytes / 1e6:g} MB")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes + FORM_OVERHEAD_BYTES:
        raise too_large
    with target.open("wb") as sink:
        try:
            form = _OneFileForm(boundary, sink, max_bytes, too_large)
            async for chunk in request.stream():
                form.feed(chunk)
                if form.unwritten >= FLUSH_BYTES:
                    await asyncio.to_thread(form.flush)
        except FormParserError as error:
            raise UploadRefusedError("the form is malformed") from error
        except ClientDisconnect as error:
            raise UploadRefusedError("the connection was closed before the upload ended") from error
        await asyncio.to_thread(form.flush)
    return form.finish()


class _OneFileForm:
    """Callbacks of the multipart parser: finds the part `file` and copies its bytes to a sink."""

    def __init__(
        self, boundary: bytes, sink: BinaryIO, max_bytes: int, too_large: UploadRefusedError
    ) -> None:
        self._sink = sink
        self._max_bytes = max_bytes
        self._too_large = too_large
        self._pending: list[bytes] = []
        self._header_name = b""
        self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
        self._files = 0
        self._ended = False
        self._total = 0
        self.size = 0
        self.unwritten = 0
        on: dict[str, Callable[..., None]] = {
            "on_part_begin": self._part_begins,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value_part,
            "on_header_end": self._header_ends,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_end": self._form_ends,
        }
        self._parser = MultipartParser(boundary, on)  # type: ignore[arg-type]  # a TypedDict of the same keys

    def feed(self, chunk: bytes) -> None:
        self._total += len(chunk)
        if self._total > self._max_bytes + FORM_OVERHEAD_BYTES:
            raise self._too_large
        self._parser.write(chunk)

    def flush(self) -> None:
        pending, self._pending, self.unwritten = self._pending, [], 0
        for piece in pending:
            self._sink.write(piece)

    def finish(self) -> int:
        if not self._files:
            raise UploadRefusedError('the form has no field named "file"')
        if not self._ended:
            raise UploadRefusedError("the upload ended before the form did")
        if not self.size:
            raise UploadRefusedError("Invalid image data: the file is empty")
        return self.size

    def _part_begins(self) -> None:
        self._headers = {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value_part(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_ends(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name != "file":
            raise FieldsRefusedError(
                f"{name[:80] or '(nameless)'}: unknown field, the form has one field: file"
            )
        self._files += 1
        if self._files > 1:
            raise FieldsRefusedError("file: given more than once, one picture a job")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self.size += end - start
        if self.size > self._max_bytes:
            raise self._too_large
        self._pending.append(data[start:end])
        self.unwritten += end - start

    def _form_ends(self) -> None:
        self._ended = True
