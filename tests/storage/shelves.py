"""Both file stores as the same tests see them, and what they hold as seen from behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from storage.files import FileStore
from storage.object_store import ObjectStore
from storage.shared_folder import SharedFolder
from storage.store_url import BucketAddress, parse_store_url
from tests.object_storage import Bucket


class Shelf(Protocol):
    """A file store, and the means to look behind it."""

    files: FileStore

    def names(self) -> set[str]:
        """Storage keys of all there is, finished or not."""

    def age(self, key: str, seconds: float) -> None:
        """Make a file that much older; of a job id, its place."""


class FolderShelf:
    def __init__(self, root: Path) -> None:
        self.files = SharedFolder(root)

    def names(self) -> set[str]:
        root = self.files.root
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    def age(self, key: str, seconds: float) -> None:
        path = self.files.root / key
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


class BucketShelf:
    def __init__(self, bucket: Bucket, work_dir: Path) -> None:
        self.bucket = bucket
        self.files = object_store(bucket, work_dir)

    def names(self) -> set[str]:
        return {_key(name) for name in self.bucket.names() if not name.startswith(".jobs/")}

    def age(self, key: str, seconds: float) -> None:
        known = {_key(name): name for name in self.bucket.names()}
        self.bucket.age(known.get(key, f".jobs/{key}"), seconds)


def object_store(bucket: Bucket, work_dir: Path, patience_s: float = 15) -> ObjectStore:
    address = parse_store_url(bucket.url)
    assert isinstance(address, BucketAddress)
    return ObjectStore(address, work_dir, patience_s)


def _key(name: str) -> str:
    folder, _, rest = name.partition("/")
    return f"{folder}/{rest.replace('/', '-', 1)}" if folder == ".embeddings" else name
