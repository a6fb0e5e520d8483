"""Holes and islands of a mask.

Owns which of them are noise. The order and the 8-connectivity are Segment Anything's
(Kirillov et al. 2023, `remove_small_regions`); keeping what the user tapped is ours. Works on
contours: on a mask of 7 megapixels that takes 2 ms where labelling all pixels took 140 (2026-11).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Seed = tuple[int, int]  # x, y in pixels of the mask's own array

_PLAIN, _WANTED, _UNWANTED = 1, 2, 3


def clean_mask(
    mask: NDArray[np.bool_], small_area_px: int, wanted: Sequence[Seed] = (), unwanted: Sequence[Seed] = ()
) -> NDArray[np.bool_]:
    """Fill holes below an area, then drop islands below it; the object is 8-connected.

    A hole around an `unwanted` point stays open and an island under one goes, whatever their area;
    an island under a `wanted` point stays. If nothing would remain, the largest island does.

    Args:
        mask: bool [H, W]; what touches the array's edge is not a hole.
        small_area_px: Areas below this are noise, in pixels.
        wanted: Points of the object, x, y in this array; those outside of it are ignored.
        unwanted: Points that are not the object, likewise.

    Returns:
        bool [H, W], a new array.
    """
    canvas = mask.astype(np.uint8)
    islands, holes = _contours(canvas)
    small_holes = [hole for hole in holes if _area_inside(hole) < small_area_px]
    small_holes = [hole for hole in small_holes if not any(_encloses(hole, seed) for seed in unwanted)]
    if small_holes:
        for hole in small_holes:  # not all at once: a hole in an island in a hole would count as outside
            cv2.drawContours(canvas, [hole], -1, _PLAIN, cv2.FILLED)
        islands, _ = _contours(canvas)
    if len(islands) > 1:
        _drop_islands(canvas, islands, small_area_px, wanted, unwanted)
    return canvas.astype(np.bool_)


def _drop_islands(
    canvas: NDArray[np.uint8],
    islands: Sequence[NDArray[np.int32]],
    small_area_px: int,
    wanted: Sequence[Seed],
    unwanted: Sequence[Seed],
) -> None:
    for seeds, mark in ((unwanted, _UNWANTED), (wanted, _WANTED)):
        for x, y in seeds:
            if 0 <= y < canvas.shape[0] and 0 <= x < canvas.shape[1] and canvas[y, x]:
                cv2.floodFill(canvas, None, (x, y), (mark,), flags=8)
    largest = max(range(len(islands)), key=lambda index: _area_with_edge(islands[index]))
    marks = [int(canvas[y, x]) for x, y in (island[0, 0] for island in islands)]
    keeps = [
        mark == _WANTED or (mark == _PLAIN and _area_with_edge(island) >= small_area_px)
        for mark, island in zip(marks, islands, strict=True)
    ]
    if not any(keeps):
        keeps[largest] = True
    for island, is_kept in zip(islands, keeps, strict=True):
        if not is_kept:
            x, y = (int(value) for value in island[0, 0])
            cv2.floodFill(canvas, None, (x, y), (0,), flags=8)


def _contours(canvas: NDArray[np.uint8]) -> tuple[list[NDArray[np.int32]], list[NDArray[np.int32]]]:
    """Outlines of the islands and of the holes in them, each int32 [N, 1, 2] xy on object pixels."""
    found, tree = cv2.findContours(canvas, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if tree is None:
        return [], []
    contours = [contour.astype(np.int32, copy=False) for contour in found]
    is_hole = tree[0, :, 3] >= 0
    return (
        [contour for contour, hole in zip(contours, is_hole, strict=True) if not hole],
        [contour for contour, hole in zip(contours, is_hole, strict=True) if hole],
    )


def _area_with_edge(contour: NDArray[np.int32]) -> float:
    """Pixels on and inside an outline, by Pick's theorem: it takes the steps of one pixel as they come."""
    if len(contour) == 1:  # no step at all
        return 1
    return cv2.contourArea(contour) + len(contour) / 2 + 1


def _area_inside(contour: NDArray[np.int32]) -> float:
    """Pixels strictly inside an outline."""
    return cv2.contourArea(contour) - len(contour) / 2 + 1


def _encloses(contour: NDArray[np.int32], seed: Seed) -> bool:
    return cv2.pointPolygonTest(contour, seed, measureDist=False) > 0
