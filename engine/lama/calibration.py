"""Pictures with holes to try LaMa on where there are no photographs: drawn, always the same.

Owns their drawing: leaves of all sizes that fall on each other ("dead leaves"), whose edges and colours occur
as in photographs (Lee, Mumford and Huang, IJCV 2001), with textures whose spectra fall as those of nature do.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.types import FillTask, PixelBox

_SLOPES = (0.8, 1.2, 1.6)  # of the textures' spectra
_COLOURS = 6  # of one picture


def draw_tasks(count: int, side: int, first: int) -> list[FillTask]:
    """Squares of `side` pixels with one hole each; those of other numbers (`first` and on) are others."""
    return [_draw_task(side, number) for number in range(first, first + count)]


def calibration_examples() -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Inputs of `LamaNetwork`, by which steps of 8 bits are chosen."""
    return [
        (
            np.ascontiguousarray(task.pixels.transpose(2, 0, 1)[None], np.float32) / np.float32(255),
            task.hole[None, None].astype(np.float32),
        )
        for task in draw_tasks(4, 256, first=0)
    ]


def _draw_task(side: int, number: int) -> FillTask:
    rng = np.random.default_rng([side, number])
    hole = np.zeros((side, side), np.bool_)
    height, width = rng.integers(side // 6, side // 2, 2)
    top, left = rng.integers(0, side - height), rng.integers(0, side - width)
    hole[top : top + height, left : left + width] = True
    return FillTask(PixelBox(0, 0, side, side), 1.0, _draw_leaves(side, rng), hole)


def _draw_leaves(side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    textures = [_texture(side, slope, rng) for slope in _SLOPES]
    colours = rng.uniform(0, 255, (_COLOURS, 3))
    picture = colours[0] + 25 * textures[1][..., None]
    # Of radius r there are r^-3, as everything looks the same from twice as far.
    smallest, largest = side / 40, side / 2.5
    chance = rng.random(rng.integers(40, 160))
    radii = 1 / np.sqrt(chance / smallest**2 + (1 - chance) / largest**2)
    for radius in sorted(radii, reverse=True):
        middle = rng.uniform(0, side, 2)
        leaf = _draw_shape(side, middle, radius, rng)
        shade = (np.arange(side) - middle[0]) / side * rng.normal(0, 60)
        grain = textures[rng.integers(len(textures))] * rng.choice([0, 8, 25])
        colour = colours[rng.integers(_COLOURS)] + rng.normal(0, 20, 3)
        picture[leaf] = (colour + (grain + shade)[..., None])[leaf]
    picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1)))
    return np.asarray(np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255), np.uint8)


def _draw_shape(
    side: int, middle: NDArray[np.float64], radius: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """An ellipse or an oblong, turned."""
    mask = np.zeros((side, side), np.uint8)
    size = 2 * radius, 2 * radius * float(rng.uniform(0.25, 1))
    turned = (float(middle[0]), float(middle[1])), size, float(rng.uniform(0, 180))
    if rng.random() < 0.5:
        cv2.ellipse(mask, turned, 1, thickness=-1)
    else:
        cv2.fillConvexPoly(mask, cv2.boxPoints(turned).astype(np.int32), 1)
    return mask.astype(np.bool_)


def _texture(side: int, slope: float, rng: np.random.Generator) -> NDArray[np.float64]:
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    frequency[0, 0] = 1
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) / frequency**slope).real
    return np.asarray(noise / noise.std())
