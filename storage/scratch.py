"""One node's files in the making, where artifacts are kept elsewhere.

Owns `.uploads` below WORK_DIR. Who makes files there also removes what a crash left of earlier ones: no
other node can.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from storage.errors import FileStoreError, StoreFull

UPLOADS = ".uploads"
_STALE_S, _PERIOD_S = 3600.0, 300.0


class Scratch:
    """A folder for files that live as long as one request."""

    def __init__(self, root: Path) -> None:
        """Make the folder below `root` where it lacks. Raises `FileStoreError`."""
        self.folder = root.absolute() / UPLOADS
        self._swept_at = -_PERIOD_S
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileStoreError(f"Cannot make {UPLOADS} in WORK_DIR: {error.strerror}") from error

    def new_file(self) -> Path:
        """A path that nobody else has."""
        if time.monotonic() - self._swept_at > _PERIOD_S:
            self._swept_at = time.monotonic()
            self.sweep(_STALE_S)
        return self.folder / uuid4().hex

    def write(self, path: Path, chunks: Iterable[bytes]) -> None:
        """Make the file of `chunks`. Raises `StoreFull` and `FileStoreError`."""
        with path.open("xb") as file:
            for chunk in chunks:
                try:
                    file.write(chunk)
                    file.flush()
                except OSError as error:
                    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                    kind = StoreFull if full else FileStoreError
                    raise kind(f"Cannot write to WORK_DIR: {error.strerror}") from error

    def free_bytes(self) -> int:
        """Room left on the volume. Raises `FileStoreError`."""
        try:
            return shutil.disk_usage(self.folder).free
        except OSError as error:
            raise FileStoreError(f"WORK_DIR cannot be looked at: {error.strerror}") from error

    def sweep(self, stale_s: float) -> int:
        """Remove files that nobody has written to for `stale_s`; how many."""
        now, gone = time.time(), 0
        for path in self.folder.iterdir():
            with suppress(OSError):  # another replica of the node may be faster
                if now - path.stat().st_mtime > stale_s:
                    path.unlink()
                    gone += 1
        return gone
