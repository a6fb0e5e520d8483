"""How much of the fill goes into each pixel when an object is removed.

Owns dilation and feather. The feather lies inside the dilated ring only: blurring the mask itself
would blend the object's own edge back in, which is seen as a ghost.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.regions import reframed
from engine.types import MaskRegion, WeightRegion

LEAST_RING_PX = 7
_RING_SHARE = 0.01  # of the object's longer side
_LARGEST_RING_PX = 512


def _smooth_step() -> NDArray[np.uint8]:
    share = np.arange(256) / 255
    return (share * share * (3 - 2 * share) * 255 + 0.5).astype(np.uint8)


_SMOOTH_STEP = _smooth_step()  # the eye sees the kinks of a straight fall


def ring_px(longer_side_px: int, edge_error_px: float = 0.0) -> int:
    """Width of the ring around an object of that size that is removed with it, pixels.

    Args:
        longer_side_px: Of the object's bounding box.
        edge_error_px: How far the mask's edge may be wrong; the ring is at least that wide.
    """
    return max(LEAST_RING_PX, round(_RING_SHARE * longer_side_px), round(edge_error_px))


def hole_weights(
    covered: MaskRegion, width: int, height: int, dilate_px: int, feather_px: int
) -> WeightRegion:
    """Weight 255 on the object and the inner ring, then falling to 0 at the ring's outer edge.

    Args:
        covered: Every pixel that shows anything of the object.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        dilate_px: Width of the ring, 0 or more.
        feather_px: Width of the fall; at most the ring's, more is taken as that.

    Returns:
        The weights inside the ring's box, clipped to the picture.
    """
    dilate_px = min(dilate_px, _LARGEST_RING_PX)
    feather_px = min(feather_px, dilate_px)
    box = covered.box.grow(dilate_px).clip(width, height)
    inside = reframed(covered.pixels, covered.box, box).astype(np.uint8)
    if not dilate_px:
        return WeightRegion(box, inside * np.uint8(255))
    distance = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    # From 1 at the inner ring's edge to 0 one pixel beyond the outer one, in 255ths.
    slope = 255 / (feather_px + 1)
    _, distance = cv2.threshold(distance, dilate_px + 1, dilate_px + 1, cv2.THRESH_TRUNC)
    straight = cv2.convertScaleAbs(distance, alpha=-slope, beta=slope * (dilate_px + 1))
    weights = cv2.LUT(straight, _SMOOTH_STEP).astype(np.uint8, copy=False)
    weights.flags.writeable = False
    return WeightRegion(box, weights)
