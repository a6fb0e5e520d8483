"""Downloads: artifacts by name, with ranges, and everything as one archive.

Owns file names, media types and the archive. Ranges, ETag and If-Range are Starlette's.
"""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
import tempfile
import zipfile
from pathlib import Path

from starlette.responses import FileResponse, Response

from deployments.http.backend import Backend
from storage.errors import FileMissing
from storage.files import FileStore, job_key
from storage.jobs import Job, JobState

ARCHIVE = "archive.zip"


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
    path = await asyncio.to_thread(backend.files.path, key)
    media_type = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    return FileResponse(
        path,
        media_type=media_type,
        stat_result=await asyncio.to_thread(path.stat),
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
        files.stat(key)
        return key
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / ARCHIVE
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # PNG and JPEG do not shrink again
            for name, stored in sorted(job.files.items()):
                archive.write(files.path(stored), name)
        files.put_file(key, target)
    return key
