"""`FileStore` in a bucket of S3-compatible object storage.

Owns the layout of the bucket and what a folder does by renames: a file is one PUT, so it is whole or
absent, and nothing unfinished is left in the bucket. A job's place is a marker, `.jobs/{job_id}`. Who puts
a file looks for the marker afterwards and takes the file back where it is gone; a cleanup removes the marker
first and lists the job's files then. Whoever is first, nothing stays, unless a writer dies between its two
requests: the orphan sweep finds what has no marker. Below `work_dir` lie this node's files in the making.
"""

from __future__ import annotations

import math
import mmap
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from storage.errors import FileMissing, FileStoreError, FileStoreUnavailable, UploadElsewhere
from storage.files import EMBEDDINGS, FileStat, JobFolder, Swept, check_job_id, check_key, is_job_id
from storage.s3_client import PATIENCE_S, connect, translated
from storage.scratch import Scratch
from storage.store_url import BucketAddress

JOBS = ".jobs"
COPY_BYTES = 1 << 20
PING_S = 2.0
UPLOADS = ".uploads"
_USED_ANEW_S = 300.0  # an embedding's time of last use is exact to this; S3 tells times only of writes


class ObjectStore:
    """`FileStore` over requests to a bucket; needs read-after-write and list-after-write, as S3 has them."""

    def __init__(self, address: BucketAddress, work_dir: Path | str, patience_s: float = PATIENCE_S) -> None:
        """Nothing is asked of the bucket yet.

        `patience_s`: how long a request that got no answer is repeated before the bucket counts as away.
        """
        self._bucket = connect(address, patience_s)
        self._quick = connect(address, PING_S)
        self._scratch = Scratch(Path(work_dir))
        self._lent: set[str] = set()

    def make_job(self, job_id: str) -> None:
        """Put the job's marker. Raises `FileStoreError` when it is there."""
        marker = f"{JOBS}/{check_job_id(job_id)}"
        mine = uuid4().bytes
        try:
            with translated(job_id):
                obstore.put(self._bucket, marker, mine, mode="create")
        except AlreadyExistsError:
            # The client repeats a PUT whose answer was lost, and is then refused by its own marker.
            with translated(job_id, missing=FileStoreUnavailable):
                if bytes(obstore.get(self._bucket, marker).bytes()) == mine:
                    return
            raise FileStoreError(f"There is a job {job_id} already") from None

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """Store all of `data` or nothing. Raises `FileMissing` when the job's marker is gone."""
        self._put(check_key(key), data)

    def put_file(self, key: str, path: Path) -> None:
        """Move a local file in, with the promises of `put`; it is sent from a map, not from memory."""
        check_key(key)
        with path.open("rb") as file, _mapped(file.fileno()) as data:
            self._put(key, data)
        path.unlink()

    def get(self, key: str) -> bytes:
        """All bytes. Raises `FileMissing`."""
        name = _name(check_key(key))
        with translated(key):
            return bytes(obstore.get(self._bucket, name).bytes())

    def open(self, key: str) -> FileOfBucket:
        """The file to read piece by piece; a cleanup ends the reading, a put over it fails it."""
        name = _name(check_key(key))
        with translated(key):
            found = obstore.head(self._bucket, name)
        etag = found["e_tag"] or ""
        stat = FileStat(found["size"], found["last_modified"].timestamp(), etag.removeprefix("W/").strip('"'))
        return FileOfBucket(self._bucket, name, stat, etag)

    def touch(self, key: str) -> bool:
        """Mark as used now, by writing it anew if that was not done lately; false if it is not there."""
        name = _name(check_key(key))
        try:
            with translated(key):
                modified = obstore.head(self._bucket, name)["last_modified"].timestamp()
                if time.time() - modified > _USED_ANEW_S:
                    obstore.put(
                        self._bucket, name, obstore.get(self._bucket, name).bytes(), use_multipart=False
                    )
        except FileMissing:
            return False
        return True

    def delete_job(self, job_id: str) -> None:
        """Remove a job's marker, then its files."""
        check_job_id(job_id)
        self._delete([f"{JOBS}/{job_id}"])
        self._delete(name for name, _, _ in self._list(job_id))

    def delete_attempts(self, job_id: str, last: int, *, keep_last: bool) -> int:
        """Remove all attempts up to `last`, or before it; how many. There are no unfinished files.

        For attempts that have ended: who still writes for them does so in vain.
        """
        check_job_id(job_id)
        end = last if keep_last else last + 1
        ended = [
            name
            for name, _, _ in self._list(job_id)
            if name.count("/") == 2 and int(name.split("/")[1].removeprefix("a")) < end
        ]
        self._delete(ended)
        return len({name.rpartition("/")[0] for name in ended})

    def delete_embeddings(self, picture_digest: str) -> int:
        """Remove the embeddings of a picture, whatever checkpoint made them; how many."""
        check_key(f"{EMBEDDINGS}/{picture_digest}")
        mine = [name for name, _, _ in self._list(f"{EMBEDDINGS}/{picture_digest}")]
        self._delete(mine)
        return len(mine)

    def ping(self) -> None:
        """Pass when the bucket answers. Raises `FileStoreError`."""
        with suppress(FileMissing), translated("the bucket"):
            obstore.get(self._quick, f"{JOBS}/ping").bytes()

    def free_bytes(self) -> int:
        """Room left on the volume of this node's files in the making; a bucket has no end."""
        return self._scratch.free_bytes()

    def new_upload(self) -> Path:
        """A path on this node for a file in the making."""
        return self._scratch.new_file()

    def lend(self, upload: Path) -> None:
        """Copy the file into the bucket, until it is discarded."""
        self._lent.add(upload.name)
        with upload.open("rb") as file, _mapped(file.fileno()) as data, translated("an upload"):
            obstore.put(self._bucket, f"{UPLOADS}/{upload.name}", data, use_multipart=False)

    @contextmanager
    def borrow(self, upload: Path) -> Iterator[Path]:
        """The file itself where it is of this node, else a copy of what was lent.

        Raises:
            UploadElsewhere: it is of another node and was not lent.
        """
        if upload.parent == self._scratch.folder and upload.exists():
            yield upload
            return
        copy = self._scratch.new_file()
        try:
            try:
                with translated("an upload"):
                    lent = obstore.get(self._bucket, f"{UPLOADS}/{upload.name}").stream(COPY_BYTES)
                    self._scratch.write(copy, lent)
            except FileMissing as error:
                raise UploadElsewhere("The upload lies on another node") from error
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    def discard_upload(self, upload: Path) -> None:
        """Remove a file of `new_upload`, if it is still there, and the copy that was lent."""
        upload.unlink(missing_ok=True)
        if upload.name in self._lent:
            self._lent.discard(upload.name)
            with suppress(FileStoreError):  # what stays is swept later
                self._delete([f"{UPLOADS}/{upload.name}"])

    def jobs(self) -> Iterator[JobFolder]:
        """All jobs that have a marker, and those with files but without one: these are cleaned up already."""
        # In this order: a marker is put before a job's files, so one that is listed later cannot be missed.
        with translated("the jobs"):
            prefixes = obstore.list_with_delimiter(self._bucket)["common_prefixes"]
        now = time.time()
        ages = {name.rpartition("/")[2]: now - modified for name, modified, _ in self._list(JOBS)}
        for job_id in filter(is_job_id, {*ages, *prefixes}):
            yield JobFolder(job_id, ages.get(job_id, math.inf))

    def sweep(self, *, stale_s: float, embedding_ttl_s: float, embeddings_max_bytes: int) -> Swept:
        """Remove forgotten uploads, and embeddings unused for long or beyond the space for them."""
        now = time.time()
        uploads = self._scratch.sweep(stale_s)
        lent = [name for name, modified, _ in self._list(UPLOADS) if now - modified > stale_s]
        self._delete(lent)
        old, space = [], 0
        for name, modified, size in sorted(self._list(EMBEDDINGS), key=lambda one: -one[1]):
            space += size
            if now - modified > embedding_ttl_s or space > embeddings_max_bytes:
                old.append(name)
        self._delete(old)
        return Swept(uploads + len(lent), 0, len(old))

    def _put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        name, job_id = _name(key), key.partition("/")[0]
        with translated(key, missing=FileStoreUnavailable):
            obstore.put(self._bucket, name, data, use_multipart=False)
        if job_id == EMBEDDINGS:
            return
        try:
            with translated(key):
                obstore.head(self._bucket, f"{JOBS}/{job_id}")
        except FileMissing:
            with suppress(FileStoreError):  # what stays is swept later
                self._delete([name])
            raise FileMissing(f"The job of {key} is gone") from None

    def _list(self, prefix: str) -> Iterator[tuple[str, float, int]]:
        """Name, time of writing (epoch s) and size in bytes of all objects below `prefix`, page by page."""
        with translated(prefix):
            for page in obstore.list(self._bucket, prefix, chunk_size=1000):
                for item in page:
                    yield item["path"], item["last_modified"].timestamp(), item["size"]

    def _delete(self, names: Iterable[str]) -> None:
        found = list(names)
        if found:
            with translated("old files", missing=FileStoreUnavailable):
                obstore.delete(self._bucket, found)


class FileOfBucket:
    """An object that is read by ranges, each of the same content; see `OpenFile`."""

    def __init__(self, bucket: S3Store, name: str, stat: FileStat, etag: str) -> None:
        self._bucket = bucket
        self._name = name
        self._etag = etag
        self.stat = stat

    def read(self, start: int, length: int) -> bytes:
        """Bytes from `start`, fewer than `length` only at the end; one request."""
        end = min(start + length, self.stat.size)
        if start >= end:
            return b""
        with translated(self._name):
            piece = obstore.get(
                self._bucket, self._name, options={"range": (start, end), "if_match": self._etag}
            )
            return bytes(piece.bytes())

    def close(self) -> None:
        """Nothing is held."""


def _name(key: str) -> str:
    """The object of `key`: a picture's embeddings lie below its digest, so that they can be listed."""
    folder, _, name = key.partition("/")
    return f"{folder}/{name.replace('-', '/', 1)}" if folder == EMBEDDINGS else key


@contextmanager
def _mapped(handle: int) -> Iterator[memoryview]:
    """A file's bytes without reading them into memory."""
    if os.fstat(handle).st_size == 0:
        yield memoryview(b"")
        return
    with mmap.mmap(handle, 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as data:
        yield data
