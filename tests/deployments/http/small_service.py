"""The HTTP API over a real Redis and real files, with stages that answer at once and a runner that copies."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from deployments.http.backend import NetworksSeen
from deployments.http.schemas import NetworkHealth
from deployments.messages import Outline, PictureRef, TakenIn
from engine.photo import picture_digest, read_photo
from engine.shapes import coco_rle
from engine.types import MaskRegion, ObjectPrompt, PixelBox
from settings import Settings
from storage.files import job_key
from storage.open_store import open_store
from storage.redis_connection import RedisConnection
from storage.redis_events import RedisEvents
from storage.redis_jobs import RedisJobs
from storage.redis_queue import RedisQueue
from storage.redis_rate_limit import RedisRateLimiter

NETWORK = NetworkHealth(
    checkpoint="bundled", name="small", digest="0" * 64, device="cpu", backend="none", precision="fp32"
)


class SmallService:
    """A `Backend` without Ray. One object is found wherever one taps: a square of 101 px around the tap."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        connection = RedisConnection(settings.redis_url)
        self.connection = connection
        self.jobs = RedisJobs(connection)
        self.queue = RedisQueue(connection)
        self.rates = RedisRateLimiter(connection)
        self.events = RedisEvents(connection)
        self.files = open_store(settings.store_url, settings.work_dir)
        self.encoded: list[PictureRef] = []
        self.seen = NetworksSeen({"mobile_sam": NETWORK, "lama": NETWORK}, frozenset())

    def require_intake(self) -> None:
        """Nothing waits here."""

    async def take_in(self, job_id: str, upload: Path) -> TakenIn:
        photo = read_photo(upload, max_pixels=self.settings.max_pixels, max_side=self.settings.max_image_size)
        key = job_key(job_id, "original.png")
        self.files.make_job(job_id)
        self.files.put(key, png(photo.image.pixels))
        picture = PictureRef(job_id, key, picture_digest(photo.image), photo.image.width, photo.image.height)
        return TakenIn(picture, photo.uploaded_width, photo.uploaded_height, photo.format, photo.notes)

    async def take_mask(self, picture: PictureRef, name: str, png: bytes) -> str:
        key = job_key(picture.job_id, name)
        self.files.put(key, png)
        return key

    def encode_ahead(self, picture: PictureRef) -> None:
        self.encoded.append(picture)

    async def preview(self, picture: PictureRef, prompt: ObjectPrompt, *, as_png: bool) -> Outline:
        x, y = (int(value) - 50 for value in prompt.points[0])
        ring = [[x, y], [x + 100, y], [x + 100, y + 100], [x, y + 100]]
        fields = {"score": 0.9, "area": 10_201, "bbox": [x, y, x + 101, y + 101], "polygons": [ring]}
        box = PixelBox(x, y, x + 101, y + 101).clip(picture.width, picture.height)
        square = MaskRegion(box, np.ones((box.height, box.width), np.bool_))
        fields["rle"] = coco_rle(square, picture.width, picture.height).as_dict()
        return Outline({**fields, "candidates": []}, png(np.zeros((8, 8), np.uint8)) if as_png else b"")

    async def networks(self) -> NetworksSeen:
        return self.seen

    async def run_one(self) -> bool:
        """Take one job and end it as ready, its results copies of the picture; false when none waits."""
        delivery = await self.queue.take("runner", block_ms=50)
        started = await self.queue.begin(delivery) if delivery is not None else None
        if delivery is None or started is None:
            return False
        original = self.files.get(started.job.files["original.png"])
        files = {}
        for name in ("cropped_0.png", "full_inpainted.png", "mask_0.png"):
            files[name] = job_key(started.job.id, name, started.attempt)
            self.files.put(files[name], original)
        await self.queue.commit(delivery, started.attempt, '{"objects": []}', files)
        return True

    async def close(self) -> None:
        await self.events.close()
        await self.connection.close()


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
