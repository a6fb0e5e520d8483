"""Draws `docs/photo.jpg`, the picture of the pages' examples: `python -m docs.draw_photo`.

A beach, 800 x 534 px, with a ball at (250, 300) and a boat in the box (550, 105) to (650, 230).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 800, 534
HORIZON, SHORE = 210, 262
TARGET = Path(__file__).with_name("photo.jpg")

Picture = NDArray[np.float64]


def beach(rng: np.random.Generator) -> Picture:
    """Sky, sea and sand, [H, W, 3] in 0..255."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    fall = (y / HORIZON)[..., None]
    sky = (1 - fall) * (118, 170, 222) + fall * (206, 226, 240)
    waves = 7 * np.sin(y / 1.7 + 2 * np.sin(x / 47)) + 4 * np.sin(x / 13 + y / 3)
    sea = np.array((52, 118, 150.0)) + waves[..., None]
    ripples = 6 * np.sin(y / 9 + 3 * np.sin(x / 90)) + 4 * np.sin(x / 31 - y / 17)
    sand = np.array((222, 196, 150.0)) + ripples[..., None]
    shore = SHORE + 6 * np.sin(x / 70)
    picture = np.where((y < HORIZON)[..., None], sky, np.where((y < shore)[..., None], sea, sand))
    grain = rng.normal(0, 1, (HEIGHT, WIDTH, 1)) * np.where(y < shore, 2.5, 9.0)[..., None]
    return picture + grain


def add_ball(picture: Picture, x0: float, y0: float, radius: float) -> Picture:
    """An orange ball, lit from the upper left, with its shadow on the sand."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    shadow = np.exp(-((((x - x0 - 30) / (1.1 * radius)) ** 2 + ((y - y0 - radius) / 13) ** 2) ** 2))
    picture = picture * (1 - 0.45 * shadow[..., None])
    light = 1.16 - 0.42 * np.hypot(x - x0 + 25, y - y0 + 30)[..., None] / (1.6 * radius)
    cover = np.clip(radius - np.hypot(x - x0, y - y0), 0, 1)[..., None]
    return picture * (1 - cover) + np.clip(np.array((238, 108, 30.0)) * light, 0, 255) * cover


def add_boat(picture: Picture, x0: float, y0: float) -> Picture:
    """A dark boat with a white sail."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    hull = (abs(x - x0) < 46 - 0.9 * abs(y - y0 - 10)) & (y > y0) & (y < y0 + 20)
    sail = (x > x0 - 4) & (x - x0 < 0.42 * (y - y0 + 92)) & (y > y0 - 92) & (y < y0 - 4)
    mast = (abs(x - x0 + 7) < 2) & (y > y0 - 96) & (y < y0)
    for cover, colour in ((hull, (70, 44, 40)), (sail, (248, 246, 240)), (mast, (70, 44, 40))):
        picture = np.where(cover[..., None], np.array(colour, float), picture)
    return picture


def draw() -> Image.Image:
    """The whole picture."""
    picture = beach(np.random.default_rng(7))
    picture = add_boat(picture, 600, 205)
    picture = add_ball(picture, 250, 330, 75)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


if __name__ == "__main__":
    draw().save(TARGET, quality=84)
