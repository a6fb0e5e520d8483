"""What a brush's strokes cover, worked out apart from the page: by the distance to the line they follow."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


def painted(base: NDArray[np.bool_], strokes: Sequence[dict[str, Any]]) -> NDArray[np.bool_]:
    """The mask after strokes of one radius each; pixels count by their middles."""
    mask = base.copy()
    for stroke in strokes:
        discs = np.reshape(stroke["path"], (-1, 3))
        assert np.ptp(discs[:, 2]) == 0
        mask[distance(mask.shape, discs[:, :2]) <= discs[0, 2]] = not stroke["erase"]
    return mask


def distance(shape: tuple[int, ...], line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each pixel's middle from a line through points xy, pixels."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    nearest = np.full(shape, np.inf)
    for (ax, ay), (bx, by) in pairwise(line) if len(line) > 1 else [(line[0], line[0])]:
        span = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-12)
        along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / span, 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)))
    return nearest
