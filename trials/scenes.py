"""Pictures that trials draw themselves: objects on a soft background, in the formats that the service takes.

Owns the drawing and the encoding of good pictures only.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image

# Where the objects' middles are, as fractions of width and height.
OBJECTS = ((0.30, 0.40), (0.70, 0.55), (0.45, 0.80))

SCENES = 12


def scene(width: int, height: int, seed: int = 0) -> np.ndarray:
    """uint8 [height, width, 3], sRGB: three objects of different colours around OBJECTS."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    rng = np.random.default_rng(seed)
    waves = [90 + 40 * np.sin(x / width * 8), 140 + 30 * np.cos(y / height * 6), 110 + 40 * x / width]
    picture = np.stack(waves, axis=-1)
    radius = 0.14 * min(width, height)
    colours = rng.integers(20, 235, (len(OBJECTS), 3))
    for (across, down), colour in zip(OBJECTS, colours, strict=True):
        picture[(x - across * width) ** 2 + (y - down * height) ** 2 < radius**2] = colour
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


@lru_cache(maxsize=80)
def _base(width: int, height: int, seed: int) -> np.ndarray:
    return scene(width, height, seed)


@lru_cache(maxsize=256)
def repeated_photo(width: int, height: int, kind: str, seed: int) -> bytes:
    """As `photo`, drawn and encoded once."""
    return photo(width, height, kind, seed)


def photo(width: int, height: int, kind: str = "JPEG", seed: int = 0) -> bytes:
    """An encoded `scene` that differs from that of every other seed; `kind` is Pillow's name of the format.

    Only a small mark is new, and little is spent on encoding: the trial must not slow down what it measures.
    """
    pixels = _base(width, height, seed % SCENES).copy()
    pixels[:8, :16] = np.random.default_rng(seed).integers(0, 256, (8, 16, 3))
    buffer = io.BytesIO()
    options = {"PNG": {"compress_level": 1}, "WEBP": {"method": 0}}
    Image.fromarray(pixels).save(buffer, kind, **options.get(kind, {}))
    return buffer.getvalue()
