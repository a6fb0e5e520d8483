"""The one place where it is decided which file store serves."""

from __future__ import annotations

from pathlib import Path

from storage.files import FileStore
from storage.shared_folder import SharedFolder
from storage.store_url import FolderAddress, parse_store_url


def open_store(store_url: str, work_dir: Path) -> FileStore:
    """The file store at `store_url`; empty: the folder `work_dir`, shared by all nodes.

    With a bucket, `work_dir` is this node's own, for files in the making.

    Raises:
        ValueError: the URL has no known form.
        FileStoreError: the folder cannot be made.
    """
    if not store_url:
        return SharedFolder(work_dir)
    address = parse_store_url(store_url)
    if isinstance(address, FolderAddress):
        return SharedFolder(address.path)
    from storage.object_store import ObjectStore  # who uses a folder does without its 8 MB

    return ObjectStore(address, work_dir)
