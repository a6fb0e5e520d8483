"""Stored pictures as pixels, read once per replica.

Owns a small cache: one job's picture is asked for several times in a row by the same replica.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from deployments.messages import PictureRef
from engine.png import decode_png
from engine.types import RgbImage
from storage.files import FileStore


class PictureReader:
    """Reads `original.png` of jobs; keeps the pixels of the last few, at most `max_bytes` of them."""

    def __init__(self, files: FileStore, max_bytes: int = 64 << 20) -> None:
        self._files = files
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, RgbImage] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, picture: PictureRef) -> RgbImage:
        """The picture's pixels, uint8 [H, W, 3] RGB, read-only.

        Raises:
            FileMissing: the job was deleted meanwhile.
        """
        with self._lock:
            image = self._kept.get(picture.digest)
            if image is not None:
                self._kept.move_to_end(picture.digest)
                return image
        image = decode_png(self._files.get(picture.key))
        image.pixels.flags.writeable = False
        with self._lock:
            self._kept[picture.digest] = image
            while (
                len(self._kept) > 1
                and sum(kept.pixels.nbytes for kept in self._kept.values()) > self._max_bytes
            ):
                self._kept.popitem(last=False)
        return image
