"""The pictures that personas upload: drawn by the project itself, no two the same.

Owns their sizes. Little is spent on drawing: Locust shares the machine with what it measures.
"""

from __future__ import annotations

import io
import random
from functools import lru_cache

import numpy as np
from PIL import Image

from trials.scenes import OBJECTS, SCENES, photo, scene

SCREEN_SIZES = ((800, 600), (1024, 768), (1200, 900), (720, 960))
CAMERA_SIZE = (4000, 3000)
_FRAME = (1000, 750)  # what a camera's picture is enlarged from
_SCENES = 3  # enough variety, and soon drawn


def draw_ahead() -> None:
    """Draw what all pictures are made from: some seconds that no request shall wait for."""
    for seed in range(_SCENES):
        _camera_scene(seed)
        for width, height in SCREEN_SIZES:
            photo(width, height, "JPEG", seed)


def screen_photo(rng: random.Random) -> bytes:
    """A JPEG of about a megapixel."""
    width, height = rng.choice(SCREEN_SIZES)
    return photo(width, height, "JPEG", SCENES * rng.randrange(1 << 26) + rng.randrange(_SCENES))


def camera_photo(rng: random.Random) -> bytes:
    """A JPEG of 12 megapixels, as a camera makes it."""
    pixels = _camera_scene(rng.randrange(_SCENES)).copy()
    # The service decodes it at half the size and scales it down: a mark of a few pixels would be lost.
    noise = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    pixels[:256, :256] = np.kron(noise, np.ones((32, 32, 1), dtype=np.uint8))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def some_objects(rng: random.Random, count: int) -> list[list[float]]:
    """Points on `count` different objects of any of the pictures, as fractions of width and height."""
    return [list(point) for point in rng.sample(OBJECTS, count)]


@lru_cache(maxsize=4)
def _camera_scene(seed: int) -> np.ndarray:
    drawn = Image.fromarray(scene(*_FRAME, seed))
    return np.asarray(drawn.resize(CAMERA_SIZE, Image.Resampling.BILINEAR))
