"""Stage: uploaded bytes to a picture that the rest of the DAG can trust.

Owns what becomes of a decoded file. The decoding of untrusted bytes is `deployments.decoder`'s, in a
child process a picture, so that its failure takes no other request along.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from ray import serve

from deployments.decoder import Decoder
from deployments.gpu_share import keep_to_share
from deployments.messages import PictureRef, TakenIn
from settings import Settings
from storage.files import job_key
from storage.open_store import open_store


@serve.deployment
class PhotoIntake:
    """Validates uploads and stores them as `original.png`."""

    def __init__(self, settings: Settings) -> None:
        keep_to_share(settings)
        self._settings = settings
        self._files = open_store(settings.store_url, settings.work_dir)
        self._decoder = Decoder(
            max_pixels=settings.max_pixels,
            max_side=settings.max_image_size,
            seconds=settings.decode_timeout_s,
        )

    async def take_in(self, job_id: str, upload: Path) -> TakenIn:
        """Store the upload as the job's `original.png`: oriented, sRGB, no larger than the settings allow.

        Raises:
            PhotoError: the upload is not a picture that can be worked on.
            UploadElsewhere: the upload lies on another node and was not lent.
        """
        return await asyncio.to_thread(self._take_in, job_id, upload)

    def _take_in(self, job_id: str, upload: Path) -> TakenIn:
        decoded = self._files.new_upload()
        try:
            with self._files.borrow(upload) as readable:
                photo = self._decoder.photo(readable, decoded)
            key = job_key(job_id, "original.png")
            self._files.make_job(job_id)
            self._files.put_file(key, decoded)
        finally:
            self._files.discard_upload(decoded)
        picture = PictureRef(job_id, key, photo.digest, photo.width, photo.height)
        return TakenIn(picture, photo.uploaded_width, photo.uploaded_height, photo.format, tuple(photo.notes))

    async def take_mask(self, picture: PictureRef, name: str, png: bytes) -> str:
        """Store a client's own mask of `picture` as a PNG of ours; answer its storage key.

        Raises:
            PhotoError: not a PNG of the picture's size, or an empty mask.
        """
        return await asyncio.to_thread(self._take_mask, picture, name, png)

    def _take_mask(self, picture: PictureRef, name: str, png: bytes) -> str:
        given, decoded = self._files.new_upload(), self._files.new_upload()
        try:
            given.write_bytes(png)
            self._decoder.mask(given, decoded, picture.width, picture.height)
            key = job_key(picture.job_id, name)
            self._files.put_file(key, decoded)
        finally:
            self._files.discard_upload(given)
            self._files.discard_upload(decoded)
        return key

    async def check_health(self) -> None:
        """Answered on the loop that serves requests, so that a blocked replica is replaced."""
