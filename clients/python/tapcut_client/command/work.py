"""What a batch has to do, and what of it is done already.

Owns the finding of pictures, where results go, and the ledger that makes a batch resumable.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tapcut_client.models import ObjectPrompt

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif"})
LEDGER = ".tapcut-batch.jsonl"


class WorkError(Exception):
    """There is nothing to do, or no telling what; the message says how to mend it."""


@dataclass(frozen=True, slots=True)
class Work:
    """One picture, its objects, and the results' path without what tells them apart."""

    picture: Path
    objects: tuple[ObjectPrompt, ...]
    target: Path

    def digest(self, kind: str) -> str:
        """Names this work: other bytes, other points or another kind make it another one."""
        told = hashlib.sha256(kind.encode())
        told.update(json.dumps([asdict(one) for one in self.objects], sort_keys=True, default=str).encode())
        with self.picture.open("rb") as file:
            while chunk := file.read(1 << 20):
                told.update(chunk)
        return told.hexdigest()


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """The files named, and in folders named all pictures, sorted.

    Raises:
        WorkError: a path does not exist, or there is no picture.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(one for one in path.iterdir() if one.suffix.lower() in PICTURES)
        elif path.exists():
            found.append(path)
        elif any(sign in path.name for sign in "*?["):
            found += sorted(path.parent.glob(path.name))
        else:
            raise WorkError(f"{path}: no such file")
    if not found:
        raise WorkError("no picture found: name files, folders or a pattern such as photos/*.jpg")
    return found


def plan(
    pictures: Sequence[Path],
    objects: tuple[ObjectPrompt, ...],
    table: Mapping[str, tuple[ObjectPrompt, ...]] | None,
    output: Path | None,
    ending: str,
) -> tuple[list[Work], bool]:
    """What is to be done, and whether `output` is a folder.

    Raises:
        WorkError: points are missing, or several results would get one name.
    """
    into_folder = output is None or output.is_dir() or len(pictures) > 1 or output.suffix == ""
    works = []
    for picture in pictures:
        wanted = objects
        if table is not None:
            wanted = table.get(str(picture), table.get(picture.name, ()))
            if not wanted:
                continue
        if not wanted:
            raise WorkError("say which object: --at X,Y (or --box, or --points FILE for many pictures)")
        folder = output if into_folder and output is not None else picture.parent
        target = (
            folder / f"{picture.stem}{ending}" if into_folder or output is None else output.with_suffix("")
        )
        works.append(Work(picture, wanted, target))
    if not works:
        raise WorkError("the table of points names none of these pictures")
    names = [work.target for work in works]
    twice = {str(name) for name in names if names.count(name) > 1}
    if twice:
        raise WorkError(
            f"two pictures would write {', '.join(sorted(twice))}: give them folders of their own"
        )
    return works, into_folder


class Ledger:
    """Which works of a folder are done: one line each, appended when the results are on disk."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LEDGER
        self._done: dict[str, list[str]] = {}
        if self._path.exists():
            for line in self._path.read_text("utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    self._done[entry["digest"]] = entry["files"]
                except (ValueError, KeyError, TypeError):
                    continue  # a line cut off by a crash: that work is done again

    def has(self, digest: str) -> bool:
        """Whether it is done and its files are still there."""
        files = self._done.get(digest)
        return files is not None and all((self._path.parent / name).exists() for name in files)

    def add(self, digest: str, files: Sequence[Path]) -> None:
        """Note it as done."""
        names = [str(file.relative_to(self._path.parent)) for file in files]
        self._done[digest] = names
        with self._path.open("a", encoding="utf-8") as ledger:
            ledger.write(json.dumps({"digest": digest, "files": names}) + "\n")
