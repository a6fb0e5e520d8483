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


@lru_cache(maxsize=64)
def photo(width: int, height: int, kind: str = "JPEG", seed: int = 0) -> bytes:
    """An encoded `scene`; `kind` is Pillow's name of the format."""
    buffer = io.BytesIO()
    Image.fromarray(scene(width, height, seed)).save(buffer, kind)
    return buffer.getvalue()


def points(count: int, width: int, height: int) -> list[list[int]]:
    """Taps on `count` of the objects of a picture of this size, xy pixels."""
    return [[int(across * width), int(down * height)] for across, down in OBJECTS[:count]]
