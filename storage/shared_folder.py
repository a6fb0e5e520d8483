"""`FileStore` in a folder that all machines mount (one machine: any folder).

Owns the layout below WORK_DIR: one folder a job, and dot-folders for the rest. A file is written
under a temporary name, synced and renamed, so that a reader sees all of it or nothing, also after
a crash. Only `make_job` makes a job's folder: what is written after a cleanup finds none and fails.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from storage.errors import FileMissing, FileStoreError, FileStoreUnavailable, StoreFull
from storage.files import EMBEDDINGS, FileStat, JobFolder, Swept, check_job_id, check_key, is_job_id

_UPLOADS = ".uploads"
_TRASH = ".trash"
_PARTS = (EMBEDDINGS, _UPLOADS, _TRASH)
_TEMPORARY = ".tmp-"
# What a mounted folder answers while its server or its disk is away.
_AWAY = (
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNREFUSED),
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EAGAIN),
)


class SharedFolder:
    """`FileStore` over POSIX renames; needs a file system where rename within it is atomic."""

    def __init__(self, root: Path | str) -> None:
        """Open `root`, making it and the dot-folders where they lack."""
        self.root = Path(root).absolute()
        for name in _PARTS:
            with _translated(name):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        with _translated("the folder"):
            self._number = self.root.stat().st_ino

    def make_job(self, job_id: str) -> None:
        """Make the job's folder. Raises `FileStoreError` when it is there."""
        with _translated(job_id):
            (self.root / check_job_id(job_id)).mkdir()
            _sync_folder(self.root)

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """Store all of `data` or nothing, durably. Raises `FileMissing` when the job's folder is gone."""
        target = self._target(key)
        temporary = target.with_name(_TEMPORARY + uuid4().hex)
        with _translated(key), _removed_on_error(temporary):
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(target)
            _sync_folder(target.parent)

    def put_file(self, key: str, path: Path) -> None:
        """Move a local file in, with the promises of `put`; copied when it lies on another file system."""
        target = self._target(key)
        temporary = target.with_name(_TEMPORARY + uuid4().hex)
        with _translated(key), _removed_on_error(temporary):
            try:
                path.rename(temporary)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                shutil.copyfile(path, temporary)
                path.unlink()
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.rename(target)
            _sync_folder(target.parent)

    def get(self, key: str) -> bytes:
        """All bytes. Raises `FileMissing`."""
        with _translated(key):
            return (self.root / check_key(key)).read_bytes()

    def open(self, key: str) -> FileOfFolder:
        """The file to read piece by piece; neither a put over it nor a cleanup cuts the reader off."""
        with _translated(key):
            return FileOfFolder(self.root / check_key(key))

    def touch(self, key: str) -> bool:
        """Mark as used now; false if it is not there."""
        try:
            with _translated(key):
                os.utime(self.root / check_key(key))
        except FileMissing:
            return False
        return True

    def delete_job(self, job_id: str) -> None:
        """Remove a job's folder, which vanishes by one rename."""
        self._discard(self.root / check_job_id(job_id))

    def delete_attempts(self, job_id: str, last: int, *, keep_last: bool) -> int:
        """Remove the folders of attempts up to `last`, or of that its unfinished files; how many folders.

        For attempts that have ended: who still writes for them does so in vain.
        """
        folder = self.root / check_job_id(job_id)
        for unfinished in folder.glob(f"a{last}/{_TEMPORARY}*"):
            _unlink(unfinished)
        end = last if keep_last else last + 1
        return sum(self._discard(one) for one in folder.glob("a[0-9]*/") if int(one.name[1:]) < end)

    def delete_embeddings(self, picture_digest: str) -> int:
        """Remove the embeddings of a picture, whatever checkpoint made them; how many."""
        check_key(f"{EMBEDDINGS}/{picture_digest}")
        with _translated("embeddings"):
            mine = [
                path
                for path in (self.root / EMBEDDINGS).iterdir()
                if path.name.startswith(picture_digest + "-")
            ]
            return sum(_unlink(path) for path in mine)

    def ping(self) -> None:
        """Pass when the folder is there, and whole. Raises `FileStoreError`."""
        self._mend()

    def free_bytes(self) -> int:
        """Room left on the volume."""
        with _translated("the volume's size"):
            return shutil.disk_usage(self.root).free

    def new_upload(self) -> Path:
        """A path for a file in the making that `put_file` can move without copying."""
        self._mend()
        return self.root / _UPLOADS / uuid4().hex

    def lend(self, upload: Path) -> None:
        """Nothing to do: every node mounts the folder that it lies in."""

    @contextmanager
    def borrow(self, upload: Path) -> Iterator[Path]:
        """The file itself."""
        yield upload

    def discard_upload(self, upload: Path) -> None:
        """Remove a file of `new_upload`, if it is still there."""
        with _translated("an upload"):
            upload.unlink(missing_ok=True)

    def jobs(self) -> Iterator[JobFolder]:
        """All jobs that have a folder."""
        now = time.time()
        with _translated("the jobs"), os.scandir(self.root) as entries:
            for entry in entries:
                if is_job_id(entry.name) and entry.is_dir():
                    with suppress(FileNotFoundError):
                        yield JobFolder(entry.name, now - entry.stat().st_mtime)

    def sweep(self, *, stale_s: float, embedding_ttl_s: float, embeddings_max_bytes: int) -> Swept:
        """Remove forgotten temporary files, and embeddings unused for long or beyond the space for them.

        `stale_s`: an upload or a discarded folder that old has nobody at work on it.
        """
        with _translated("old files"):
            uploads = self._sweep_uploads(stale_s)
            trash = self._sweep_trash(stale_s)
            embeddings = self._sweep_embeddings(stale_s, embedding_ttl_s, embeddings_max_bytes)
        return Swept(uploads, trash, embeddings)

    def _sweep_uploads(self, stale_s: float) -> int:
        return sum(_unlink(path) for path, age, _ in _by_age(self.root / _UPLOADS) if age > stale_s)

    def _sweep_trash(self, stale_s: float) -> int:
        gone = 0
        for path, age, _ in _by_age(self.root / _TRASH):
            if age > stale_s:
                shutil.rmtree(path, ignore_errors=True)
                gone += not path.exists()
        return gone

    def _sweep_embeddings(self, stale_s: float, ttl_s: float, max_bytes: int) -> int:
        gone = space = 0
        for path, age, size in _by_age(self.root / EMBEDDINGS):
            if path.name.startswith(_TEMPORARY):
                if age > stale_s:
                    _unlink(path)
                continue
            space += size
            if age > ttl_s or space > max_bytes:
                gone += _unlink(path)
        return gone

    def _mend(self) -> None:
        """Make dot-folders again: whoever removes old folders by cron removes them, too.

        Not in another folder under the same name, as an unmounted volume leaves it.
        """
        try:
            with _translated("the folder"):
                if self.root.stat().st_ino != self._number:
                    raise FileStoreUnavailable(
                        "WORK_DIR is another folder than at the start: restart the service to use it"
                    )
                for name in _PARTS:
                    (self.root / name).mkdir(exist_ok=True)
        except FileMissing as error:
            raise FileStoreUnavailable("WORK_DIR is gone") from error

    def _target(self, key: str) -> Path:
        target = self.root / check_key(key)
        if key.count("/") == 2:
            with _translated(key), suppress(FileExistsError):
                target.parent.mkdir()  # not its parents: the job's folder must be there
                _sync_folder(target.parent.parent)
        return target

    def _discard(self, folder: Path) -> bool:
        grave = self.root / _TRASH / f"{folder.name}-{uuid4().hex}"
        self._mend()
        try:
            with _translated(folder.name):
                folder.rename(grave)
        except FileMissing:
            return False
        shutil.rmtree(grave, ignore_errors=True)  # what stays is swept later
        return True


class FileOfFolder:
    """An open file of a `SharedFolder`; see `OpenFile`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        found = os.fstat(self._file.fileno())
        self.stat = FileStat(found.st_size, found.st_mtime, f"{found.st_mtime_ns:x}-{found.st_size:x}")

    def read(self, start: int, length: int) -> bytes:
        """Bytes from `start`, fewer than `length` only at the end."""
        with _translated("an open file"):
            return os.pread(self._file.fileno(), length, start)

    def close(self) -> None:
        """Be done with it."""
        self._file.close()


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn the operating system's errors into the store's."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise FileMissing(f"No such file: {what}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(f"No space left to store {what}") from error
        kind = FileStoreUnavailable if error.errno in _AWAY else FileStoreError
        raise kind(f"Cannot store or read {what}: {error.strerror}") from error


@contextmanager
def _removed_on_error(temporary: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a rename or a new entry in `folder` survive a power failure."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _by_age(folder: Path) -> list[tuple[Path, float, int]]:
    """Path, age in seconds and size in bytes of each entry, youngest first."""
    now = time.time()
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                stat = entry.stat(follow_symlinks=False)
                found.append((Path(entry.path), now - stat.st_mtime, stat.st_size))
    return sorted(found, key=lambda one: one[1])


def _unlink(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
