"""An object on a transparent background.

Owns the crop and the colours of the edge: a pixel that is half object shows half of the old
background, which is seen as a fringe on any new one. The alpha is `engine.matting`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.regions import reframed, seen_from, tiles
from engine.types import RefinedObject, RgbImage

_NEAR_PX, _FAR_PX = 3, 24  # where the object's colour is looked for
_BLEED_PX = 3
_BLEED = np.ones((2 * _BLEED_PX + 1, 2 * _BLEED_PX + 1), np.uint8)
_NEIGHBOURS = np.ones((3, 3), np.uint8)
_TILE_PX = 128
_LEAST_WEIGHT = 1e-10  # of inner pixels: less is none at all, and rounding


@dataclass(frozen=True, slots=True)
class CutOut:
    """A cut-out with straight alpha; `offset_x`, `offset_y` is its corner in the picture."""

    rgba: NDArray[np.uint8]  # [H, W, 4]
    offset_x: int
    offset_y: int


def cut_out(image: RgbImage, refined: RefinedObject, padding_px: int) -> CutOut:
    """Crop an object with its soft edge, cleaned of the background's colour.

    Fully transparent pixels within a few pixels of the object carry its edge's colour, so that
    scaling the cut-out (which mixes neighbours, in many programs without regard to alpha) draws no
    dark line around it; farther ones are 0, so that nothing of the background leaves with the
    file and it compresses well.

    Args:
        image: The picture.
        refined: The object.
        padding_px: Space around the object's soft edge; less where the picture ends.
    """
    box = refined.soft_alpha.box.grow(padding_px).clip(image.width, image.height)
    alpha = reframed(refined.soft_alpha.pixels, refined.soft_alpha.box, box)
    foreground = _foreground(image.pixels[box.slices], alpha)
    rgba = cv2.cvtColor(foreground, cv2.COLOR_RGB2RGBA).astype(np.uint8, copy=False)
    rgba[..., 3] = alpha
    rgba.flags.writeable = False
    return CutOut(rgba, box.x0, box.y0)


def _foreground(picture: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The object's own colour: at the edge, that of the surely inner pixels nearby."""
    height, width = alpha.shape
    clean = cv2.copyTo(picture, alpha).astype(np.uint8, copy=False)  # 0 where alpha is
    for tile in tiles(width, height, _TILE_PX):
        near_tile = alpha[tile.grow(_BLEED_PX).clip(width, height).slices]
        if near_tile.min() == near_tile.max():
            continue
        around = tile.grow(_FAR_PX + 1).clip(width, height)
        inner = seen_from(tile, around).slices
        observed = picture[around.slices].astype(np.float32)
        share = alpha[around.slices].astype(np.float32) / np.float32(255)
        # One pixel further in than the edge says: lenses and sharpening leave a rim there, too.
        sure = cv2.erode(share, _NEIGHBOURS).astype(np.float32, copy=False)
        # Solving the mixture for the object's part (Forte 2021) keeps more detail but overshoots
        # where alpha is a little off: a dark line on light objects, worse than none (2026-11).
        colour = sure[..., None] * observed + (1 - sure[..., None]) * _inner_colour(observed, sure, share)
        is_shown = (cv2.dilate(alpha[around.slices], _BLEED) > 0)[inner]
        rounded = (colour[inner] + np.float32(0.5)).astype(np.uint8)
        clean[tile.slices] = np.where(is_shown[..., None], rounded, clean[tile.slices])
    return clean


def _inner_colour(
    observed: NDArray[np.float32], sure: NDArray[np.float32], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Mean colour of the inner pixels within reach, the near ones counting far more.

    Where there is none (along a wire, a whisker), that of the pixels which show most of the object.
    """
    total, weight = np.zeros_like(observed), np.full_like(sure, 1e-18)

    def count(inner: NDArray[np.float32], reach_px: int, importance: float) -> None:
        size = (2 * reach_px + 1, 2 * reach_px + 1)
        np.add(total, importance * cv2.blur(observed * inner[..., None], size), out=total)
        np.add(weight, importance * cv2.blur(inner, size), out=weight)

    count(sure, _NEAR_PX, 1.0)
    count(sure, _FAR_PX, 1e-3)
    if (weight[share > 0] < _LEAST_WEIGHT).any():
        count(share**2, _NEAR_PX, 1e-8)
    return (total / weight[..., None]).astype(np.float32, copy=False)
