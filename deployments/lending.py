"""A call that hands an upload to a replica which may be on another node.

Owns when an upload is copied for that: only after a replica said that it cannot reach it. On one machine,
and where all nodes mount one folder, none ever does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from storage.errors import UploadElsewhere
from storage.files import FileStore

Answer = TypeVar("Answer")


async def call_with_upload(files: FileStore, upload: Path, call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Make the call; if it fails for the upload's being elsewhere, lend the upload and make it once more."""
    try:
        return await call()
    except UploadElsewhere:
        await asyncio.to_thread(files.lend, upload)
        return await call()
