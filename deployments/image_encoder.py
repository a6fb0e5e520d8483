"""Stage: a picture to its embedding (MobileSAM's image encoder).

Owns batching across pictures and the reuse of embeddings: a replica's own memory, then the shared
store under the picture's content hash, then one run of the network. The first tap on a picture
finds the embedding there, because the upload has asked for it.
"""

from __future__ import annotations

import asyncio
import io
import logging
import time
from typing import Any

import numpy as np
from ray import serve

from deployments.gpu_share import keep_to_share
from deployments.kept_embeddings import KeptEmbeddings
from deployments.messages import Encoded, PictureRef
from deployments.networks import load_encoder
from deployments.pictures import PictureReader
from engine.closer_look import picture_in
from engine.priority import compute_in_background
from engine.types import ImageEmbedding, PixelBox, RgbImage
from settings import Settings
from storage.errors import FileMissing, StoreFull
from storage.files import embedding_key
from storage.job_metrics import StageTiming
from storage.open_store import open_store

log = logging.getLogger("ray.serve")

EMBEDDINGS_KEPT = 64


@serve.deployment
class ImageEncoder:
    """Encodes pictures once, whoever asks."""

    def __init__(self, settings: Settings) -> None:
        keep_to_share(settings)
        compute_in_background()
        self._network = load_encoder(settings)
        self._files = open_store(settings.store_url, settings.work_dir)
        self._pictures = PictureReader(self._files)
        self._kept = KeptEmbeddings(EMBEDDINGS_KEPT)
        self._running: dict[str, asyncio.Task[tuple[ImageEmbedding, int]]] = {}

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take `max_batch_size` and `batch_wait_timeout_s` from the serve config, also while running."""
        self._encode_batch.set_max_batch_size(user_config["max_batch_size"])
        self._encode_batch.set_batch_wait_timeout_s(user_config["batch_wait_timeout_s"])

    async def encode(self, picture: PictureRef) -> Encoded:
        """The picture's embedding, computed at most once at a time in this replica.

        Raises:
            FileMissing: the job was deleted meanwhile.
        """
        started = time.perf_counter()
        kept = self._kept.get(picture.digest)
        if kept is not None:
            return Encoded(kept, ())
        while True:
            running = self._running.get(picture.digest)
            ours = running is None
            if running is None:
                running = asyncio.create_task(self._find_or_compute(picture))
                self._running[picture.digest] = running
                running.add_done_callback(lambda _: self._running.pop(picture.digest, None))
            try:
                # Shielded: the caller may give up, others wait for the same embedding.
                embedding, batch_size = await asyncio.shield(running)
            except FileMissing:
                if ours:
                    raise
                continue  # another job with the same picture was deleted: this one has its own file
            return Encoded(embedding, (StageTiming.since("encode", started, batch_size),))

    async def encode_ahead(self, picture: PictureRef) -> None:
        """As `encode`, but the embedding is not sent back: for an upload, which only wants it kept."""
        await self.encode(picture)

    async def encode_part(self, picture: PictureRef, part: PixelBox) -> Encoded:
        """The embedding of a part of the picture, as of a picture of its own; it is not kept.

        Raises:
            FileMissing: the job was deleted meanwhile.
        """
        started = time.perf_counter()
        image = await asyncio.to_thread(self._pictures.read, picture)
        embedding, batch_size = await self._encode_batch(picture_in(part, image))
        return Encoded(embedding, (StageTiming.since("encode", started, batch_size),))

    async def _find_or_compute(self, picture: PictureRef) -> tuple[ImageEmbedding, int]:
        key = embedding_key(picture.digest, f"{self._network.digest[:16]}.npy")
        embedding, batch_size = await asyncio.to_thread(self._stored, key, picture), 1
        if embedding is None:
            image = await asyncio.to_thread(self._pictures.read, picture)
            embedding, batch_size = await self._encode_batch(image)
            await asyncio.to_thread(self._store, key, embedding)
        self._kept.keep(picture.digest, embedding)
        return embedding, batch_size

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.0)
    async def _encode_batch(self, images: list[RgbImage]) -> list[tuple[ImageEmbedding, int]]:
        embeddings = await asyncio.to_thread(self._network.encoder.encode, images)
        return [(embedding, len(images)) for embedding in embeddings]

    def _stored(self, key: str, picture: PictureRef) -> ImageEmbedding | None:
        try:
            features = np.load(io.BytesIO(self._files.get(key)), allow_pickle=False)
        except FileMissing:
            return None
        except ValueError:
            log.warning("a stored embedding is damaged and is computed again", extra={"key": key})
            return None
        self._files.touch(key)
        return ImageEmbedding(features, picture.width, picture.height)

    def _store(self, key: str, embedding: ImageEmbedding) -> None:
        buffer = io.BytesIO()
        np.save(buffer, embedding.features, allow_pickle=False)
        try:
            self._files.put(key, buffer.getvalue())
        except StoreFull:
            log.warning("the store is full: an embedding is kept in memory only", extra={"key": key})

    def describe(self) -> dict[str, str]:
        """The loaded network, as `/health` shows it."""
        return self._network.description

    async def check_health(self) -> None:
        """Answered on the loop that serves requests, so that a blocked replica is replaced."""
