"""Whether a result is of the right pixels.

Owns what a client can tell without knowing the object: sizes, and that nothing changed outside the ring.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

RING_PX = 12  # asked for as `dilate_px`
EDGE_PX = 6  # the soft edge around the mask that belongs to the object, beyond which the ring begins


def png_size(data: bytes) -> tuple[int, int]:
    """Width and height by a PNG's header, px.

    Raises:
        ValueError: it is no PNG.
    """
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        raise ValueError(f"no PNG: it begins with {data[:16]!r}")
    width, height = struct.unpack(">II", data[16:24])
    return int(width), int(height)


def changed_outside(original: bytes, result: bytes, masks: Sequence[bytes], ring_px: int = RING_PX) -> int:
    """How many pixels of `result` differ from `original` farther than the ring from every mask.

    Args:
        original: The picture before, PNG.
        result: The picture after, PNG of the same size.
        masks: PNGs of that size, above 127 = object.
        ring_px: Width of the ring that may change around the objects.
    """
    before, after = _pixels(original, "RGB"), _pixels(result, "RGB")
    objects = np.zeros(before.shape[:2], np.uint8)
    for mask in masks:
        objects |= (_pixels(mask, "L") > 127).astype(np.uint8)
    reach = 2 * (ring_px + EDGE_PX) + 1
    near = cv2.dilate(objects, np.ones((reach, reach), np.uint8)).astype(bool)
    return int(np.count_nonzero((before != after).any(axis=2) & ~near))


def _pixels(data: bytes, mode: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode))
