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

_REACHES_PX = (24, 6)  # first far enough to find a colour everywhere, then near enough to keep detail
_BLEED_PX = 3
_TILE_PX = 128

Plane = NDArray[np.float32]  # [H, W]
Colours = NDArray[np.float32]  # [H, W, 3], 0..255


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
    rgba = np.zeros((box.height, box.width, 4), np.uint8)
    rgba[..., :3] = _foreground(image.pixels[box.slices], alpha)
    rgba[..., 3] = alpha
    rgba.flags.writeable = False
    return CutOut(rgba, box.x0, box.y0)


def _foreground(picture: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The object's own colour, estimated where the edge mixes it with the background.

    Source: Forte, "Approximate Fast Foreground Colour Estimation" (ICIP 2021): the colours of
    object and background are alpha-weighted means of the surroundings, and what is left between
    their mixture and the picture is given to the object.
    """
    clean = np.where(alpha[..., None] > 0, picture, np.uint8(0))
    reach = sum(_REACHES_PX)
    for tile in tiles(alpha.shape[1], alpha.shape[0], _TILE_PX):
        near_tile = alpha[tile.grow(_BLEED_PX).clip(alpha.shape[1], alpha.shape[0]).slices]
        if near_tile.min() == near_tile.max():
            continue
        around = tile.grow(reach).clip(alpha.shape[1], alpha.shape[0])
        inner = seen_from(tile, around).slices
        share = alpha[around.slices].astype(np.float32) / np.float32(255)
        # One pixel further in than the edge says: lenses and sharpening leave a rim that is not the object's.
        share = cv2.erode(share, np.ones((3, 3), np.uint8)).astype(np.float32, copy=False)
        observed = picture[around.slices].astype(np.float32)
        front = back = observed
        for reach_px in _REACHES_PX:
            front, back = _separated(observed, front, back, share, reach_px)
        near = cv2.dilate(alpha[around.slices], np.ones((2 * _BLEED_PX + 1,) * 2, np.uint8))[inner] > 0
        is_mixed = (near & (share[inner] < 1))[..., None]
        colour = np.clip(front[inner] + 0.5, 0, 255).astype(np.uint8)
        clean[tile.slices] = np.where(is_mixed, colour, clean[tile.slices])
    return clean


def _separated(
    observed: Colours, front: Colours, back: Colours, share: Plane, reach_px: int
) -> tuple[Colours, Colours]:
    """One round of the estimate: object's and background's colour from those within reach."""
    front_mean = _weighted_mean(front, share, reach_px)
    back_mean = _weighted_mean(back, 1 - share, reach_px)
    weight = share[..., None]
    front = front_mean + weight * (observed - weight * front_mean - (1 - weight) * back_mean)
    return np.clip(front, 0, 255), back_mean


def _weighted_mean(colours: Colours, weight: Plane, reach_px: int) -> Colours:
    size = (2 * reach_px + 1, 2 * reach_px + 1)
    total = cv2.blur(colours * weight[..., None], size)
    return (total / (cv2.blur(weight, size) + 1e-5)[..., None]).astype(np.float32, copy=False)
