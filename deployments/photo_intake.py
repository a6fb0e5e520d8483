"""Stage: uploaded bytes to a picture that the rest of the DAG can trust.

Owns nothing but the serving of `engine.photo`: decoding of untrusted bytes happens here, in
replicas of its own, so that its failure takes no other stage's requests along.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from ray import serve

from deployments.messages import PictureRef, TakenIn
from engine.encoding import encode_png
from engine.errors import PhotoError
from engine.photo import picture_digest, read_mask, read_photo
from settings import Settings
from storage.files import job_key
from storage.shared_folder import SharedFolder


@serve.deployment
class PhotoIntake:
    """Validates uploads and stores them as `original.png`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files = SharedFolder(settings.work_dir)

    async def take_in(self, job_id: str, upload: Path) -> TakenIn:
        """Store the upload as the job's `original.png`: oriented, sRGB, no larger than the settings allow.

        Raises:
            PhotoError: the upload is not a picture that can be worked on.
        """
        return await asyncio.to_thread(self._take_in, job_id, upload)

    def _take_in(self, job_id: str, upload: Path) -> TakenIn:
        photo = read_photo(
            upload,
            max_pixels=self._settings.max_pixels,
            max_side=self._settings.max_image_size,
        )
        key = job_key(job_id, "original.png")
        self._files.make_job(job_id)
        self._files.put(key, encode_png(photo.image.pixels))
        picture = PictureRef(job_id, key, picture_digest(photo.image), photo.image.width, photo.image.height)
        return TakenIn(picture, photo.uploaded_width, photo.uploaded_height, photo.format, photo.notes)

    async def take_mask(self, picture: PictureRef, name: str, png: bytes) -> str:
        """Store a client's own mask of `picture`; answer its storage key.

        Raises:
            PhotoError: not a PNG of the picture's size, or an empty mask.
        """
        return await asyncio.to_thread(self._take_mask, picture, name, png)

    def _take_mask(self, picture: PictureRef, name: str, png: bytes) -> str:
        mask = read_mask(png, picture.width, picture.height)
        if not mask.pixels.any():
            raise PhotoError("Invalid image data: the mask is empty")
        key = job_key(picture.job_id, name)
        self._files.put(key, png)
        return key

    async def check_health(self) -> None:
        """Answered on the loop that serves requests, so that a blocked replica is replaced."""
