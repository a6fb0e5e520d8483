"""A download into a file, which has its name only when it is whole.

Owns the two files that wait beside it: `.NAME.part` with the bytes so far, and `.NAME.part.json` with what
they are of. A process that is killed leaves both, and the next download to the same path goes on after them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import BinaryIO

from tapcut_client.errors import ApiError, DownloadBroken, ServiceUnavailable


class FileSink:
    """A sink for `download`; a context manager. `source` names what is fetched: job and file."""

    def __init__(self, path: Path | str, source: str) -> None:
        """Open what an earlier try left, or begin.

        Raises:
            DownloadBroken: another process downloads to the same path at this moment.
            OSError: the folder cannot be written to.
        """
        self.path = Path(path)
        self._source = source
        self._part = self.path.with_name(f".{self.path.name}.part")
        self._note = self._part.with_name(self._part.name + ".json")
        self._file = _opened_alone(self._part)
        self.etag = self._noted_etag()
        self.size = self._part.stat().st_size if self.etag else 0
        self._file.truncate(self.size)

    def _noted_etag(self) -> str:
        try:
            note = json.loads(self._note.read_text("utf-8"))
            return str(note["etag"]) if note["source"] == self._source else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def restart(self, etag: str) -> None:
        """Forget everything; what comes now belongs to `etag`."""
        # First without bytes, then with another validator: killed in between, nothing wrong is there.
        self._file.truncate(0)
        self.size, self.etag = 0, etag
        self._note.write_text(json.dumps({"source": self._source, "etag": etag}), "utf-8")

    def write(self, chunk: bytes) -> None:
        """Append."""
        self._file.write(chunk)
        self._file.flush()  # what a killed process had counted is there
        self.size += len(chunk)

    def finish(self) -> Path:
        """Give the file its name."""
        os.fsync(self._file.fileno())
        self._note.unlink(missing_ok=True)
        if sys.platform == "win32":
            self._file.close()  # an open file cannot be renamed there
        self._part.replace(self.path)
        self._file.close()
        return self.path

    def __enter__(self) -> FileSink:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._file.closed:
            return
        refused = isinstance(error, ApiError) and not isinstance(error, ServiceUnavailable)
        if refused or not self.size or not self.etag:
            # Nothing that a later try could go on with.
            self._note.unlink(missing_ok=True)
            self._part.unlink(missing_ok=True)
        self._file.close()


def _opened_alone(part: Path) -> BinaryIO:
    """The file open for appending, locked as long as it is open."""
    while True:
        file = part.open("ab")
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                raise DownloadBroken(f"{part}: another download is writing it now") from None
        try:
            if os.path.samestat(os.fstat(file.fileno()), part.stat()):
                return file
        except FileNotFoundError:
            pass
        file.close()  # it was given its name, or removed, between the opening and the lock
