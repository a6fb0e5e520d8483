"""Artifacts as named bytes, and what a file store must do.

Owns the form of storage keys and the `FileStore` protocol. Keys are
`{job_id}/{name}`, `{job_id}/a{attempt}/{name}` and `.embeddings/{name}`; nothing else is a key.
All functions are synchronous and may block on a disk or a network: call them through `asyncio.to_thread`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storage.errors import BadKey

EMBEDDINGS = ".embeddings"

# Exactly what we make: the orphan sweep must not take a stranger's folder in WORK_DIR for a job.
_JOB_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_ATTEMPT = re.compile(r"a[0-9]{1,9}", re.ASCII)
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,126}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FileStat:
    """What is known of a file without reading it. `etag` changes with the content."""

    size: int  # bytes
    modified: float  # seconds since the epoch
    etag: str  # without quotes


@dataclass(frozen=True, slots=True)
class JobFolder:
    """A job's folder as the orphan sweep sees it."""

    job_id: str
    age_s: float  # since it was made or something was put into it; infinite where it lacks its place


@dataclass(frozen=True, slots=True)
class Swept:
    """What one pass over old files removed."""

    uploads: int
    trash: int
    embeddings: int


def job_key(job_id: str, name: str, attempt: int | None = None) -> str:
    """The key of a job's file, of one attempt or (None) of the upload. Raises `BadKey`."""
    return check_key(f"{job_id}/{name}" if attempt is None else f"{job_id}/a{attempt}/{name}")


def embedding_key(picture_digest: str, variant: str) -> str:
    """The key of a picture's embedding made by the checkpoint named `variant`. Raises `BadKey`."""
    return check_key(f"{EMBEDDINGS}/{picture_digest}-{variant}")


def is_job_id(text: str) -> bool:
    """Whether `text` has the form of a job id."""
    return _JOB_ID.fullmatch(text) is not None


def check_job_id(job_id: str) -> str:
    """The id itself, if it is one: 32 lower-case hexadecimal digits. Raises `BadKey`."""
    if not is_job_id(job_id):
        raise BadKey(f"Not a job id: {job_id!r}")
    return job_id


def check_key(key: str) -> str:
    """The key itself, if it is one. Raises `BadKey`."""
    *folders, name = key.split("/")
    match folders:
        case [first]:
            placed = first == EMBEDDINGS or is_job_id(first)
        case [first, second]:
            placed = is_job_id(first) and _ATTEMPT.fullmatch(second) is not None
        case _:
            placed = False
    if not placed or not _NAME.fullmatch(name):
        raise BadKey(f"Not a storage key: {key!r}")
    return key


class OpenFile(Protocol):
    """A stored file that is being read: the same content from the first byte to the last."""

    @property
    def stat(self) -> FileStat:
        """As it was when the file was opened."""

    def read(self, start: int, length: int) -> bytes:
        """Bytes from `start`, fewer than `length` only at the end. Raises `FileStoreError`."""

    def close(self) -> None:
        """Be done with it; may be called twice."""


class FileStore(Protocol):
    """Artifacts by key. Every call may raise `BadKey` and `FileStoreError`; puts also `StoreFull`.

    `FileStoreUnavailable`, a `FileStoreError`, says that trying again later may help.
    """

    def make_job(self, job_id: str) -> None:
        """Open a job's place; only then can its files be put. Raises `FileStoreError` when it is there."""

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """Store all of `data` or nothing, durably. Raises `FileMissing` when the job's place is gone."""

    def put_file(self, key: str, path: Path) -> None:
        """Move a local file in, with the promises of `put`."""

    def get(self, key: str) -> bytes:
        """All bytes. Raises `FileMissing`."""

    def open(self, key: str) -> OpenFile:
        """A file to read piece by piece. Raises `FileMissing`."""

    def touch(self, key: str) -> bool:
        """Mark as used now; false if it is not there."""

    def delete_job(self, job_id: str) -> None:
        """Remove a job's place and its files. A put that began before and ends later leaves nothing."""

    def delete_attempts(self, job_id: str, last: int, *, keep_last: bool) -> int:
        """Remove all attempts up to `last`; if that is kept, only its unfinished files. How many attempts.

        Later ones are not touched: the job may have been given to the next run by now.
        """

    def delete_embeddings(self, picture_digest: str) -> int:
        """Remove the embeddings of a picture, whatever checkpoint made them; how many."""

    def ping(self) -> None:
        """Pass when the store answers, within a few seconds. Raises `FileStoreError`."""

    def free_bytes(self) -> int:
        """Room left on the volume of files in the making."""

    def new_upload(self) -> Path:
        """A local path for a file in the making, which `put_file` can move in."""

    def lend(self, upload: Path) -> None:
        """Make a file of `new_upload` readable by `borrow` on every node."""

    def borrow(self, upload: Path) -> AbstractContextManager[Path]:
        """Where a file of another replica's `new_upload` can be read here, inside the context.

        Raises:
            UploadElsewhere: its node is another one, and it was not lent.
        """

    def discard_upload(self, upload: Path) -> None:
        """Remove a file of `new_upload`, if it is still there, and what was lent of it."""

    def jobs(self) -> Iterator[JobFolder]:
        """All jobs that have a place, and those that have files without one."""

    def sweep(self, *, stale_s: float, embedding_ttl_s: float, embeddings_max_bytes: int) -> Swept:
        """Remove forgotten temporary files, and embeddings unused for long or beyond the space for them."""
