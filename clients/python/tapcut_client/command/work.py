"""What a batch has to do: which pictures, which objects in them, and where the results go."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tapcut_client.command.kinds import Kind
from tapcut_client.command.ledger import Ledger
from tapcut_client.command.prompts import Table
from tapcut_client.models import ObjectPrompt

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif"})


class WorkError(Exception):
    """There is nothing to do, or no telling what; the message says how to mend it."""


@dataclass(frozen=True, slots=True)
class Work:
    """One picture, its objects, and the results' path without what tells them apart.

    `exact`: the path that was asked for, where there is one result.
    """

    picture: Path
    objects: tuple[ObjectPrompt, ...]
    target: Path
    exact: Path | None = None

    def digest(self, kind: Kind) -> str:
        """Names this work: other bytes, other objects or another kind make it another one."""
        told = hashlib.sha256(kind.signature.encode())
        told.update(json.dumps([asdict(one) for one in self.objects], sort_keys=True, default=str).encode())
        with self.picture.open("rb") as file:
            while chunk := file.read(1 << 20):
                told.update(chunk)
        return told.hexdigest()

    def results(self, kind: Kind) -> dict[str, Path]:
        """File of the service -> where it goes."""
        endings = kind.endings(len(self.objects))
        if self.exact is not None and len(endings) == 1:
            return dict.fromkeys(endings, self.exact)
        return {name: self.target.with_name(self.target.name + ending) for name, ending in endings.items()}


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """The files named, and in folders and patterns named all pictures, sorted; each once.

    Results of earlier batches that lie among them are left out.

    Raises:
        WorkError: a path does not exist, or there is no picture.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += _pictures_of(path.iterdir())
        elif path.exists():
            found.append(path)
        elif glob.has_magic(str(path)):
            found += _pictures_of(Path(one) for one in glob.glob(str(path), recursive=True))
        else:
            raise WorkError(f"{path}: no such file")
    found = list({path.resolve(): path for path in found}.values())
    if len(found) > 1:
        ledgers = {folder: Ledger(folder) for folder in {path.parent for path in found}}
        found = [path for path in found if not ledgers[path.parent].made(path)]
    if not found:
        raise WorkError("no picture found: name files, folders or a pattern such as 'photos/**/*.jpg'")
    return found


def _pictures_of(paths: Iterable[Path]) -> list[Path]:
    return sorted(one for one in paths if one.suffix.lower() in PICTURES and not one.name.startswith("."))


def plan(
    pictures: Sequence[Path],
    objects: tuple[ObjectPrompt, ...],
    table: Table | None,
    output: Path | None,
    ending: str,
) -> tuple[list[Work], bool]:
    """What is to be done, and whether `output` is a folder.

    Raises:
        WorkError: points are missing, or several results would get one name.
    """
    into_folder = output is None or output.is_dir() or len(pictures) > 1 or output.suffix == ""
    if into_folder and output is not None and output.exists() and not output.is_dir():
        raise WorkError(f"{output} is a file, and these results need a folder")
    works = []
    for picture in pictures:
        wanted = objects
        if table is not None:
            name = table.name_of(picture)
            wanted = (*objects, *(table.objects[name] if name is not None else ()))
            if not wanted:
                continue
        if not wanted:
            raise WorkError("say which object: --at X,Y (or --box, or --points FILE for many pictures)")
        if into_folder or output is None:
            folder = picture.parent if output is None else output
            works.append(Work(picture, wanted, folder / f"{picture.stem}{ending}"))
        else:
            works.append(Work(picture, wanted, output.with_suffix(""), output))
    if not works:
        raise WorkError("the table of points names none of these pictures")
    names = [work.target for work in works]
    twice = {str(name) for name in names if names.count(name) > 1}
    if twice:
        raise WorkError(
            f"two pictures would write {', '.join(sorted(twice))}: give them folders of their own"
        )
    return works, into_folder
