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
_TILE_PX = 128
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
    height, width = mask.shape
    shrink = max(1, round(radius_px / _COARSE_RADIUS))
    radius = max(1, round(radius_px / shrink))
    alpha = mask.astype(np.uint8) * np.uint8(255)
    small_picture, small_mask = _shrunk(picture, shrink), _shrunk(alpha, shrink)
    rows, columns = small_mask.shape
    for small in tiles(columns, rows, max(1, max(_TILE_PX, 2 * radius_px) // shrink)):
        around = small.grow(2 * radius + 2).clip(columns, rows)
        target = small_mask[around.slices]
        if target.min() != target.max():
            fit = guided_coefficients(
                _as_share(small_picture[around.slices]), _as_share(target), radius, _EPSILON
            )
            # A margin, because the ramp takes differences; two, because enlarging mixes neighbours.
            part = small.grow(2).clip(columns, rows)
            fit = _enlarged(fit[seen_from(part, around).slices], shrink)
            tile = _times(small, shrink).clip(width, height)
            shown = tile.grow(shrink).clip(width, height)
            fit = fit[seen_from(shown, _times(part, shrink)).slices]
            alpha[tile.slices] = _ramp(_applied(fit, picture[shown.slices]))[seen_from(tile, shown).slices]
    return alpha


def _times(box: PixelBox, factor: int) -> PixelBox:
    return PixelBox(box.x0 * factor, box.y0 * factor, box.x1 * factor, box.y1 * factor)


def _as_share(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return pixels * np.float32(1 / 255)


def _applied(fit: NDArray[np.float32], picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The share of the object that the fit sees in each pixel's colour, about 0..1."""
    share = fit[..., 3].copy()
    for channel in range(3):
        share += fit[..., channel] * _as_share(picture[..., channel])
    return share


def _enlarged(fit: NDArray[np.float32], shrink: int) -> NDArray[np.float32]:
    size = (fit.shape[1] * shrink, fit.shape[0] * shrink)
    return cv2.resize(fit, size, interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)


def _shrunk(pixels: NDArray[np.uint8], shrink: int) -> NDArray[np.uint8]:
    """Means of shrink x shrink blocks; blocks that stick out repeat the last row or column."""
    if shrink == 1:
        return pixels
    height, width = pixels.shape[:2]
    whole = cv2.copyMakeBorder(pixels, 0, -height % shrink, 0, -width % shrink, cv2.BORDER_REPLICATE)
    size = (whole.shape[1] // shrink, whole.shape[0] // shrink)
    return cv2.resize(whole, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _ramp(share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Make the edge about `_RAMP_PX` wide where the filter left a wide slope: it knew no edge there."""
    slope_x = cv2.Sobel(share, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    slope_y = cv2.Sobel(share, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    slope = cv2.boxFilter(cv2.magnitude(slope_x, slope_y), -1, (3, 3))
    gain = np.maximum(_LEAST_GAIN, 1 / (_RAMP_PX * np.maximum(slope, 1e-3)))
    alpha: NDArray[np.float32] = np.clip((share - 0.5) * gain + 0.5, 0, 1)
    return (alpha * 255 + 0.5).astype(np.uint8)
