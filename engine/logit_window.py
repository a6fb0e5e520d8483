"""Logits at the picture's size, but only inside a window of it.

Owns the same rule as `engine.mobile_sam.segment.upscale_logits` (bilinear to the padded frame,
crop, bilinear to the picture), restricted to where an object is, so that a small object in a
large picture costs little. Imports no torch: the stage that refines masks needs none.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.mobile_sam.frame import framed_size
from engine.types import PixelBox

# An affine warp costs about six times a resize a pixel (2026-11, OpenCV 5.0).
_RESIZE_PAYS_FROM = 1 / 6


def cell_px(width: int, height: int, side: int) -> float:
    """Side in picture pixels of one logit of a [side, side] map in the padded frame."""
    return max(width, height) / side


def positive_box(logits: NDArray[np.float32], width: int, height: int, image_size: int) -> PixelBox | None:
    """A box of the picture outside of which no upscaled logit is above 0; None if none is anywhere.

    Args:
        logits: float32 [L, L] in the padded frame.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        image_size: Side of the padded frame, pixels.
    """
    positive = logits > 0
    rows, columns = np.flatnonzero(positive.any(axis=1)), np.flatnonzero(positive.any(axis=0))
    if not rows.size:
        return None
    framed_width, framed_height = framed_size(width, height, image_size)
    x_px = image_size / logits.shape[1] * width / framed_width
    y_px = image_size / logits.shape[0] * height / framed_height
    # Bilinear reaches one cell further; one more pixel for the second, finer resize.
    box = PixelBox(
        math.floor((int(columns[0]) - 1) * x_px) - 2,
        math.floor((int(rows[0]) - 1) * y_px) - 2,
        math.ceil((int(columns[-1]) + 2) * x_px) + 2,
        math.ceil((int(rows[-1]) + 2) * y_px) + 2,
    ).clip(width, height)
    return box if box.width > 0 and box.height > 0 else None


def upscale_window(
    logits: NDArray[np.float32], width: int, height: int, image_size: int, window: PixelBox
) -> NDArray[np.float32]:
    """The part of the upscaled logits that lies in `window`.

    Args:
        logits: float32 [L, L] in the padded frame.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        image_size: Side of the padded frame, pixels.
        window: Inside the picture.

    Returns:
        float32 [window.height, window.width], > 0 is the object.
    """
    framed_width, framed_height = framed_size(width, height, image_size)
    if window.width * window.height > width * height * _RESIZE_PAYS_FROM:
        frame = cv2.resize(logits, (image_size, image_size), interpolation=cv2.INTER_LINEAR)
        shown = np.ascontiguousarray(frame[:framed_height, :framed_width])
        full = cv2.resize(shown, (width, height), interpolation=cv2.INTER_LINEAR)
        return full[window.slices].astype(np.float32, copy=False)
    x_scale, y_scale = framed_width / width, framed_height / height
    part = PixelBox(
        math.floor((window.x0 + 0.5) * x_scale - 0.5) - 1,
        math.floor((window.y0 + 0.5) * y_scale - 0.5) - 1,
        math.ceil((window.x1 + 0.5) * x_scale) + 2,
        math.ceil((window.y1 + 0.5) * y_scale) + 2,
    ).clip(framed_width, framed_height)
    to_frame = logits.shape[0] / image_size
    frame = _sample(logits, to_frame, to_frame, part.x0, part.y0, part.width, part.height, 0, 0)
    return _sample(
        frame, x_scale, y_scale, window.x0, window.y0, window.width, window.height, part.x0, part.y0
    )


def _sample(
    source: NDArray[np.float32],
    x_scale: float,
    y_scale: float,
    x0: int,
    y0: int,
    width: int,
    height: int,
    source_x0: int,
    source_y0: int,
) -> NDArray[np.float32]:
    """Bilinear samples of `source` at (x + 0.5) * scale - 0.5 for x from x0, edges repeated."""
    matrix = np.array(
        [
            [x_scale, 0, (x0 + 0.5) * x_scale - 0.5 - source_x0],
            [0, y_scale, (y0 + 0.5) * y_scale - 0.5 - source_y0],
        ]
    )
    sampled = cv2.warpAffine(
        source,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return sampled.astype(np.float32, copy=False)
