"""A soft edge for a hard mask: how much of each pixel is the object.

Owns the band around a mask's edge in which the picture's own edges decide. Colours are
`engine.cutout`'s.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.guided_filter import guided_coefficients
from engine.regions import seen_from, tiles
from engine.types import PixelBox

_EPSILON = 1e-3  # squared colour 0..1: an edge weaker than some 8 levels does not attract the mask
_COARSE_RADIUS = 4  # the fit is made where the radius is this many pixels: more changes nothing visible
_TILE_PX = 256
_RAMP_PX = 2.0  # width of the edge where the picture shows none: what a lens would give
_LEAST_GAIN = 1.3


def matte(picture: NDArray[np.uint8], mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.uint8]:
    """Alpha whose edge follows the picture's edges within reach of the mask's.

    Args:
        picture: uint8 [H, W, 3] RGB around the object.
        mask: bool [H, W].
        radius_px: Reach of the filter, pixels, at least 1: an edge wrong by up to half of it is mended.

    Returns:
        uint8 [H, W]: exactly 255 and 0 at more than some 2 * `radius_px` from the mask's edge.
    """
    shrink = max(1, round(radius_px / _COARSE_RADIUS))
    height, width = mask.shape
    alpha = np.where(mask, np.uint8(255), np.uint8(0))
    target = _shrunk(alpha, shrink)
    radius = max(1, round(radius_px / shrink))
    fit = guided_coefficients(_shrunk(picture, shrink), target, radius, _EPSILON)
    is_undecided = _is_mixed(target, 2 * radius)
    for tile in tiles(width, height, max(1, _TILE_PX // shrink) * shrink):
        rows = slice(tile.y0 // shrink, -(-tile.y1 // shrink))
        columns = slice(tile.x0 // shrink, -(-tile.x1 // shrink))
        if is_undecided[rows, columns].any():
            # One pixel more on each side: the ramp takes differences.
            around = tile.grow(1).clip(width, height)
            share = _share(picture[around.slices], fit, around, shrink)
            ramp = _ramp(share)[seen_from(tile, around).slices]
            if not is_undecided[rows, columns].all():
                undecided = _enlarged(is_undecided[rows, columns], shrink)[: tile.height, : tile.width]
                ramp = np.where(undecided, ramp, alpha[tile.slices])
            alpha[tile.slices] = ramp
    return alpha


def _shrunk(pixels: NDArray[np.uint8], shrink: int) -> NDArray[np.float32]:
    """Means of shrink x shrink blocks, 0..1; blocks that stick out repeat the last row or column."""
    height, width = pixels.shape[:2]
    if shrink > 1:
        pixels = cv2.copyMakeBorder(
            pixels, 0, -height % shrink, 0, -width % shrink, cv2.BORDER_REPLICATE
        ).astype(np.uint8, copy=False)
        size = (pixels.shape[1] // shrink, pixels.shape[0] // shrink)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return pixels.astype(np.float32) / np.float32(255)


def _enlarged(flags: NDArray[np.bool_], shrink: int) -> NDArray[np.bool_]:
    return flags.repeat(shrink, axis=0).repeat(shrink, axis=1)


def _is_mixed(target: NDArray[np.float32], radius: int) -> NDArray[np.bool_]:
    """Where the filter's whole reach is not all object or all background."""
    size = (2 * radius + 1, 2 * radius + 1)
    near = cv2.boxFilter(target, -1, size, borderType=cv2.BORDER_REFLECT)
    least = 0.5 / (size[0] * size[1] * 255)
    return np.logical_and(near > least, near < 1 - least)


def _share(
    picture: NDArray[np.uint8], fit: NDArray[np.float32], box: PixelBox, shrink: int
) -> NDArray[np.float32]:
    """The fit applied to the picture inside `box`, at full resolution."""
    rows, columns = fit.shape[:2]
    y0, x0 = max(box.y0 // shrink - 1, 0), max(box.x0 // shrink - 1, 0)
    part = fit[y0 : min(-(-box.y1 // shrink) + 1, rows), x0 : min(-(-box.x1 // shrink) + 1, columns)]
    if shrink > 1:
        size = (part.shape[1] * shrink, part.shape[0] * shrink)
        part = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)
    top, left = box.y0 - y0 * shrink, box.x0 - x0 * shrink
    part = part[top : top + box.height, left : left + box.width]
    colour = picture.astype(np.float32) / np.float32(255)
    share = part[..., 0] * colour[..., 0]
    for channel in (1, 2):
        share += part[..., channel] * colour[..., channel]
    return (share + part[..., 3]).astype(np.float32, copy=False)


def _ramp(share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Make the edge about `_RAMP_PX` wide where the filter left a wide slope: it knew no edge there."""
    slope_x = cv2.Sobel(share, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    slope_y = cv2.Sobel(share, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    slope = cv2.boxFilter(cv2.magnitude(slope_x, slope_y), -1, (3, 3))
    gain = np.maximum(_LEAST_GAIN, 1 / (_RAMP_PX * np.maximum(slope, 1e-3)))
    alpha: NDArray[np.float32] = np.clip((share - 0.5) * gain + 0.5, 0, 1)
    return (alpha * 255 + 0.5).astype(np.uint8)
