from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deployments.image_encoder import ImageEncoder
from deployments.kept_embeddings import KeptEmbeddings
from deployments.messages import PictureRef
from deployments.pictures import PictureReader
from engine.png import encode_png
from engine.types import ImageEmbedding, RgbImage
from storage.errors import FileMissing
from storage.files import job_key
from storage.shared_folder import SharedFolder


class Encoder(ImageEncoder.func_or_class):  # type: ignore[misc]
    def __init__(self, files: SharedFolder) -> None:
        self._network: Any = SimpleNamespace(digest="d" * 64)
        self._files, self._pictures = files, PictureReader(files)
        self._kept, self._running = KeptEmbeddings(4), {}

    async def _encode_batch(self, image: RgbImage) -> tuple[ImageEmbedding, int]:
        return ImageEmbedding(np.zeros((256, 64, 64), np.float16), image.width, image.height), 1


async def test_a_deleted_job_takes_no_other_with_the_same_picture_along(tmp_path: Path) -> None:
    files, refs = SharedFolder(tmp_path), []
    for job_id in ("a" * 32, "b" * 32):
        files.make_job(job_id)
        key = job_key(job_id, "original.png")
        files.put(key, encode_png(np.zeros((32, 32, 3), np.uint8)))
        refs.append(PictureRef(job_id, key, "e" * 64, 32, 32))
    encoder = Encoder(files)
    first = asyncio.create_task(encoder.encode(refs[0]))
    await asyncio.sleep(0)
    files.delete_job("a" * 32)
    other = asyncio.create_task(encoder.encode(refs[1]))
    with pytest.raises(FileMissing):
        await first
    assert (await other).embedding.width == 32
