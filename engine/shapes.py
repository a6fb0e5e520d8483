"""A mask in the forms that other programs read: polygons and COCO's run-length code.

Owns both encoders. Coordinates are pixels of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.types import MaskRegion

Polygon = tuple[tuple[int, int], ...]  # xy of at least 3 corners, closed by itself

_DEFAULT_TOLERANCE = 0.001
_LEAST_TOLERANCE_PX = 1.0  # less only retells the steps of the pixels
_THIN_TOLERANCE_PX = 0.5


@dataclass(frozen=True, slots=True)
class CocoRle:
    """A mask as COCO's compressed run-length code; `as_dict` is what pycocotools takes."""

    height: int
    width: int
    counts: str

    def as_dict(self) -> dict[str, list[int] | str]:
        """The JSON form: `{"size": [height, width], "counts": "..."}`."""
        return {"size": [self.height, self.width], "counts": self.counts}


def mask_polygons(region: MaskRegion, tolerance: float = _DEFAULT_TOLERANCE) -> tuple[Polygon, ...]:
    """Outlines of a mask's islands, largest first; holes are not told (the run-length code is exact).

    Corners are pixels of the mask, so that the outline passes through the middle of its outermost
    pixels. Straight lines of one pixel's width enclose nothing and have no outline.

    Args:
        region: The mask.
        tolerance: How far an outline may move, as a share of its length, and at least a pixel
            (Douglas and Peucker 1973).
    """
    found, _ = cv2.findContours(
        region.pixels.astype(np.uint8),
        cv2.RETR_EXTERNAL,
        cv2.CHAIN_APPROX_NONE,
        offset=(region.box.x0, region.box.y0),
    )
    polygons = []
    for contour in sorted(found, key=len, reverse=True):
        epsilon = max(_LEAST_TOLERANCE_PX, tolerance * cv2.arcLength(contour, closed=True))
        corners = cv2.approxPolyDP(contour, epsilon, closed=True)
        if len(corners) < 3:  # thinner than the tolerance
            corners = cv2.approxPolyDP(contour, _THIN_TOLERANCE_PX, closed=True)
        if len(corners) >= 3:
            polygons.append(tuple((int(x), int(y)) for x, y in corners[:, 0]))
    return tuple(polygons)


def coco_rle(region: MaskRegion, width: int, height: int) -> CocoRle:
    """Encode a mask of a picture of `width` x `height` pixels, exactly.

    Source: the format of pycocotools (Lin et al., `maskApi.c`, BSD): runs down the columns, the
    first of background; from the third on each as its difference to the one before the last; five
    bits a character.
    """
    return CocoRle(height, width, _packed(_column_runs(region, width, height)))


def _column_runs(region: MaskRegion, width: int, height: int) -> NDArray[np.int64]:
    """Lengths of the runs of 0 and 1, in turn, beginning with 0."""
    columns = np.zeros((region.box.width, region.box.height + 2), np.int8)
    columns[:, 1:-1] = region.pixels.T
    change = np.diff(columns, axis=1)
    corner = region.box.x0 * height + region.box.y0
    edges = []
    for sign in (1, -1):
        column, row = np.nonzero(change == sign)
        edges.append(corner + column * height + row)
    starts, ends = edges
    # A run that reaches the bottom goes on at the top of the next column.
    joins = starts[1:] == ends[:-1]
    starts = starts[np.concatenate([[True], ~joins])] if starts.size else starts
    ends = ends[np.concatenate([~joins, [True]])] if ends.size else ends
    bounds = np.empty(2 * starts.size, np.int64)
    bounds[0::2], bounds[1::2] = starts, ends
    runs = np.diff(bounds, prepend=0, append=width * height)
    return runs[:-1] if bounds.size and runs[-1] == 0 else runs


def _packed(runs: NDArray[np.int64]) -> str:
    values = runs.copy()
    values[3:] -= runs[1:-2]
    groups = []
    open_values, place = values, np.arange(values.size)
    while open_values.size:
        low, rest = open_values & 0x1F, open_values >> 5
        has_sign = (low & 0x10) != 0
        goes_on = np.where(has_sign, rest != -1, rest != 0)
        groups.append((place, (low | (goes_on * 0x20)) + 48))
        open_values, place = rest[goes_on], place[goes_on]
    letters = np.concatenate([letter for _, letter in groups])
    order = np.argsort(np.concatenate([place for place, _ in groups]), kind="stable")
    return letters[order].astype(np.uint8).tobytes().decode("ascii")
