"""Which works of a folder are begun and done: what makes a batch resumable, also after a kill.

Owns `.tapcut-batch.jsonl`: a line when a work begins, with the key under which the service knows it and the
files that it will make, a line when these are on disk, and one when its job is gone from the service. A work
that was begun and not ended is taken up again under its key, so the service neither computes it twice nor
keeps a job that nobody fetches.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path

LEDGER = ".tapcut-batch.jsonl"


class Ledger:
    """The ledger of one folder. Read once; every change is appended at once."""

    def __init__(self, folder: Path, *, forget: bool = False) -> None:
        """Read what is there. `forget`: only which files were made here, not that it is done.

        Raises:
            OSError: it cannot be read.
        """
        self._path = folder / LEDGER
        self._done: dict[str, list[str]] = {}
        self._keys: dict[str, str] = {}
        self._left: dict[str, str] = {}
        self._made: set[str] = set()
        if self._path.exists():
            for line in self._path.read_text("utf-8", "replace").splitlines():
                try:
                    self._take(json.loads(line), forget)
                except (ValueError, KeyError, TypeError):
                    continue  # a line cut off by a crash: that work is done again

    def _take(self, entry: dict[str, object], forget: bool) -> None:
        digest, files = str(entry["digest"]), entry["files"]
        if not isinstance(files, list):
            raise TypeError
        self._made.update(files)
        if forget:
            return
        if entry.get("begun"):
            self._keys[digest] = str(entry["begun"])
        elif entry.get("cleaned"):
            self._left.pop(digest, None)
        else:
            self._done[digest] = files
            if entry.get("job"):
                self._left[digest] = str(entry["job"])

    def has(self, digest: str) -> bool:
        """Whether it is done and its files are still there."""
        files = self._done.get(digest)
        return files is not None and all((self._path.parent / name).exists() for name in files)

    def made(self, file: Path) -> bool:
        """Whether the file is a result of this folder's batches."""
        return file.name in self._made

    def begin(self, digest: str, files: Sequence[Path], *, anew: bool = False) -> str:
        """The key of this work: that of a try that did not end, else (or `anew`) a new one."""
        if anew or digest in self._done or digest not in self._keys:
            self._done.pop(digest, None)
            self._keys[digest] = uuid.uuid4().hex
            self._append({"digest": digest, "begun": self._keys[digest]}, files)
        return self._keys[digest]

    def end(self, digest: str, files: Sequence[Path], job_id: str | None) -> None:
        """Note it as done. `job_id`: of the job that is still to be cleaned up, if it is."""
        self._done[digest] = [file.name for file in files]
        if job_id is not None:
            self._left[digest] = job_id
        self._append({"digest": digest, "job": job_id}, files)

    def left(self, digest: str) -> str | None:
        """The job of a done work that the service may still have: its try was killed before the last step."""
        return self._left.get(digest)

    def cleaned(self, digest: str) -> None:
        """Note that its job is gone."""
        self._left.pop(digest, None)
        self._append({"digest": digest, "cleaned": True}, [])

    def _append(self, entry: dict[str, object], files: Sequence[Path]) -> None:
        names = [file.name for file in files]
        self._made.update(names)
        line = json.dumps({**entry, "files": names}) + "\n"
        with self._path.open("ab+") as ledger:
            # A line that a crash cut off must not swallow this one.
            if ledger.tell() and (ledger.seek(-1, 2), ledger.read(1))[1] != b"\n":
                line = "\n" + line
            ledger.write(line.encode())
