"""What runs in the sandbox: untrusted bytes to files of our own, and facts about them.

Owns the functions that `deployments.decoder` calls there. Arguments and answers are JSON; files are
read and written by path. Knows no store, no Ray, no settings.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import AvifImagePlugin, Image

from engine.errors import PhotoError
from engine.photo import picture_digest, read_mask, read_photo
from engine.png import encode_png

DECODER_THREADS = 2


def take_photo(upload: str, target: str, max_pixels: int, max_side: int) -> dict[str, Any]:
    """Decode `upload`, write it to `target` as PNG; answer its facts, `refused` or `full`."""

    def take() -> dict[str, Any]:
        photo = read_photo(Path(upload), max_pixels=max_pixels, max_side=max_side)
        Path(target).write_bytes(encode_png(photo.image.pixels))
        return {
            "digest": picture_digest(photo.image),
            "width": photo.image.width,
            "height": photo.image.height,
            "uploaded_width": photo.uploaded_width,
            "uploaded_height": photo.uploaded_height,
            "format": photo.format,
            "notes": photo.notes,
        }

    return _answered(take)


def take_mask(upload: str, target: str, width: int, height: int) -> dict[str, Any]:
    """Decode a client's own mask, write it to `target` as a grey PNG; answer `refused`, `full` or nothing.

    Later stages read the file of ours, never the client's bytes.
    """

    def take() -> dict[str, Any]:
        mask = read_mask(Path(upload).read_bytes(), width, height)
        if not mask.pixels.any():
            raise PhotoError("Invalid image data: the mask is empty")
        whole = np.zeros((height, width), np.uint8)
        whole[mask.box.slices][mask.pixels] = 255
        Path(target).write_bytes(encode_png(whole))
        return {}

    return _answered(take)


def warm_up() -> None:
    """Load decoders and encoder before the first fork, without starting a thread."""
    cv2.setNumThreads(1)
    Image.init()
    # A thread's stack counts as its memory: on a machine of 64 cores as much as a picture.
    AvifImagePlugin.DEFAULT_MAX_THREADS = DECODER_THREADS
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.options.DECODE_THREADS = DECODER_THREADS
    for format_name in ("PNG", "JPEG", "WEBP"):
        drawn = io.BytesIO()
        Image.new("RGB", (8, 8), "orange").save(drawn, format_name)
        encode_png(read_photo(drawn.getvalue(), max_pixels=64, max_side=4).image.pixels)


def _answered(take: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return take()
    except PhotoError as error:
        return {"refused": str(error)}
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return {"full": True}
        raise
