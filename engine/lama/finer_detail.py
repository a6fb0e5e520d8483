"""Detail for a fill that was made at less than the picture's resolution.

Owns what enlarging cannot bring back. The crop of a large hole is scaled down for the network, whose fill
then has nothing finer, beside a picture that has. What the scaling took from the picture is known around
the hole: each cell of the fill gets it from the cell there that looks most like it, in colour, in how much
neighbouring pixels differ, and by being near.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.regions import tiles

_CELL_PX = 8  # of the scaled crop
# What a difference weighs beside one of a cell's colour: of the colours around it, of its contrast (a smooth
# place that got the detail of a wall of its colour would show it), of a cell's width in place.
_AROUND, _CONTRAST, _PLACE = 0.7, 6.0, 0.3
_TILE_PX = 256  # what is worked on together

Pixels = NDArray[np.uint8]


def with_finer_detail(enlarged: Pixels, picture: Pixels, scaled: Pixels, hole: NDArray[np.bool_]) -> Pixels:
    """Add the picture's finest detail to an enlarged fill; no copy of whole patches, and no learned weights.

    Args:
        enlarged: [H, W, 3] `scaled` at the crop's own size; written to.
        picture: [H, W, 3] the crop of the picture; what shows the object is not read.
        scaled: [h, w, 3] the scaled crop, its hole filled.
        hole: [h, w] true = filled.

    Returns:
        `enlarged`; it is as it was where no pixel of the crop is known.
    """
    shifts = _shifts_to_alike(scaled, hole)
    if shifts is None:
        return enlarged
    height, width = enlarged.shape[:2]
    step_y, step_x = height / hole.shape[0], width / hole.shape[1]
    to_rows, to_columns = (
        np.rint(cells * (_CELL_PX * step)) for cells, step in zip(shifts, (step_y, step_x), strict=True)
    )
    cell_y = _cells_of(height, step_y, to_rows.shape[0])
    cell_x = _cells_of(width, step_x, to_rows.shape[1])
    opened = cv2.resize(hole.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    before = enlarged.copy()
    for tile in tiles(width, height, _TILE_PX):
        part = tile.slices
        if not opened[part].any():
            continue
        y, x = np.arange(tile.y0, tile.y1), np.arange(tile.x0, tile.x1)
        cells = np.ix_(cell_y[y], cell_x[x])
        source = np.stack([x + to_columns[cells], y[:, None] + to_rows[cells]], axis=2).astype(np.int16)
        detail = cv2.subtract(_at(picture, source), _at(before, source), dtype=cv2.CV_16S)
        cv2.copyTo(cv2.add(before[part], detail, dtype=cv2.CV_8U), opened[part], enlarged[part])
    return enlarged


def _at(pixels: Pixels, source: NDArray[np.int16]) -> Pixels:
    """The pixels at x, y."""
    nothing = np.empty(0, np.uint16)
    return cv2.remap(pixels, source, nothing, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE).astype(
        np.uint8, copy=False
    )


def _shifts_to_alike(
    scaled: Pixels, hole: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """[rows, columns] of cells: how many cells down and right the known cell lies that looks most like each.

    0 where nothing is to be filled; None where no cell is known, or none is to be filled.
    """
    height, width = hole.shape
    below, right = -height % _CELL_PX, -width % _CELL_PX
    padded = cv2.copyMakeBorder(scaled, 0, below, 0, right, cv2.BORDER_REFLECT_101).astype(np.float32)
    unknown = cv2.copyMakeBorder(hole.astype(np.uint8), 0, below, 0, right, cv2.BORDER_CONSTANT, value=1)
    rows, columns = unknown.shape[0] // _CELL_PX, unknown.shape[1] // _CELL_PX
    touched = unknown.reshape(rows, _CELL_PX, columns, _CELL_PX).max((1, 3))
    # A shift is rounded to pixels, and the network's fill shines through the enlarging beside it.
    source = cv2.dilate(touched, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE) == 0
    to_fill, sources = np.argwhere(touched > 0), np.argwhere(source)
    if not len(to_fill) or not len(sources):
        return None
    looks = _looks_of(padded, columns, rows)
    mine, theirs = looks[tuple(to_fill.T)], looks[tuple(sources.T)]
    apart = np.square(theirs).sum(1) - 2 * (mine @ theirs.T)  # and what is the same for all sources
    moved = sources[apart.argmin(1)] - to_fill
    shifts = np.zeros((2, rows, columns), np.int64)
    shifts[:, to_fill[:, 0], to_fill[:, 1]] = moved.T
    return shifts[0], shifts[1]


def _looks_of(padded: NDArray[np.float32], columns: int, rows: int) -> NDArray[np.float32]:
    """[rows, columns, 10] of cells, weighted: their squared distance says how unlike two are."""
    size = (columns, rows)
    colour = cv2.resize(padded, size, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(padded, cv2.COLOR_RGB2GRAY)
    contrast = [
        cv2.resize(np.abs(cv2.Sobel(grey, cv2.CV_32F, *axis, ksize=1)), size, interpolation=cv2.INTER_AREA)
        for axis in ((1, 0), (0, 1))
    ]
    place = np.moveaxis(np.indices((rows, columns), np.float32), 0, 2)
    around = cv2.blur(colour, (3, 3), borderType=cv2.BORDER_REFLECT_101)
    parts = (colour, _AROUND * around, _CONTRAST * np.stack(contrast, axis=2), _PLACE * place)
    return np.concatenate(parts, axis=2)


def _cells_of(length: int, step: float, cells: int) -> NDArray[np.int64]:
    """The cell that each pixel of an axis of the picture lies in."""
    return np.minimum((np.arange(length) / (step * _CELL_PX)).astype(np.int64), cells - 1)
