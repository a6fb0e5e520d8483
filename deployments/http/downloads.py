"""Downloads: artifacts by name, with ranges, and everything as one archive.

Owns file names, media types and the archive.
"""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
import time
import zipfile

from starlette.responses import Response

from deployments.http.backend import Backend
from deployments.http.stored_file import StoredFileResponse
from storage.errors import FileMissing
from storage.files import FileStore, OpenFile, job_key
from storage.jobs import Job, JobState

ARCHIVE = "archive.zip"
PIECE_BYTES = 1 << 20  # of a file on its way into an archive


async def send_file(backend: Backend, job: Job, filename: str) -> Response:
    """The artifact `filename` of `job`, or `archive.zip`.

    Raises:
        FileMissing: the job has no such file (yet).
    """
    if filename == ARCHIVE:
        key = await asyncio.to_thread(_archive, backend.files, job)
    elif filename in job.files:
        key = job.files[filename]
    else:
        raise FileMissing(filename)
    file = await asyncio.to_thread(backend.files.open, key)
    return StoredFileResponse(
        file,
        media_type=mimetypes.guess_type(filename)[0] or "application/octet-stream",
        # The next /segment call replaces artifacts under the same names.
        headers={
            "Cache-Control": "private, no-cache",
            "Content-Disposition": f'inline; filename="{filename}"',
        },
    )


def _archive(files: FileStore, job: Job) -> str:
    if job.state is not JobState.READY:
        raise FileMissing(f"{ARCHIVE} exists once the job is ready")
    key = job_key(job.id, ARCHIVE, job.attempt)
    with contextlib.suppress(FileMissing):
        files.open(key).close()
        return key
    target = files.new_upload()
    try:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # PNG and JPEG do not shrink again
            for name, stored in sorted(job.files.items()):
                with contextlib.closing(files.open(stored)) as file:
                    _add(archive, name, file)
        files.put_file(key, target)
    finally:
        files.discard_upload(target)
    return key


def _add(archive: zipfile.ZipFile, name: str, file: OpenFile) -> None:
    entry = zipfile.ZipInfo(name, time.gmtime(file.stat.modified)[:6])
    entry.external_attr = 0o644 << 16
    with archive.open(entry, "w", force_zip64=file.stat.size >= zipfile.ZIP64_LIMIT) as sink:
        for start in range(0, file.stat.size, PIECE_BYTES):
            sink.write(file.read(start, PIECE_BYTES))
