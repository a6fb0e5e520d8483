"""Masks and weights stored in a box of the picture: finding the box, moving to another.

Owns the arithmetic of boxes inside arrays and nothing of what the pixels mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.types import MaskRegion, PixelBox

Pixel = TypeVar("Pixel", np.bool_, np.uint8)


def tight_box(pixels: NDArray[Pixel], window: PixelBox) -> PixelBox | None:
    """Smallest box of the picture that holds all pixels above 0; None if there are none.

    Args:
        pixels: [window.height, window.width].
        window: Where in the picture they lie.
    """
    columns = np.flatnonzero(pixels.any(axis=0))
    rows = np.flatnonzero(pixels.any(axis=1))
    if not rows.size:
        return None
    return PixelBox(
        window.x0 + int(columns[0]),
        window.y0 + int(rows[0]),
        window.x0 + int(columns[-1]) + 1,
        window.y0 + int(rows[-1]) + 1,
    )


def reframed(pixels: NDArray[Pixel], window: PixelBox, box: PixelBox) -> NDArray[Pixel]:
    """The same pixels seen in another box: cut off, or completed with zeros; always a new array.

    Args:
        pixels: [window.height, window.width].
        window: Where in the picture they lie.
        box: Where the answer lies: [box.height, box.width].
    """
    moved = np.zeros((box.height, box.width), pixels.dtype)
    if window.overlaps(box):
        shared = PixelBox(
            max(window.x0, box.x0), max(window.y0, box.y0), min(window.x1, box.x1), min(window.y1, box.y1)
        )
        moved[seen_from(shared, box).slices] = pixels[seen_from(shared, window).slices]
    return moved


def whole_mask(mask: MaskRegion, width: int, height: int) -> NDArray[np.uint8]:
    """The mask at the picture's size: uint8 [height, width], 255 the object, 0 the rest."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[mask.box.slices] = np.where(mask.pixels, np.uint8(255), np.uint8(0))
    return pixels


def seen_from(box: PixelBox, window: PixelBox) -> PixelBox:
    """`box` counted from the window's corner."""
    return PixelBox(box.x0 - window.x0, box.y0 - window.y0, box.x1 - window.x0, box.y1 - window.y0)


def in_picture(box: PixelBox, window: PixelBox) -> PixelBox:
    """A box counted from the window's corner, in the picture: the reverse of `seen_from`."""
    return PixelBox(box.x0 + window.x0, box.y0 + window.y0, box.x1 + window.x0, box.y1 + window.y0)


def tiles(width: int, height: int, side: int) -> Iterator[PixelBox]:
    """Boxes of at most `side` pixels a side that together cover a picture, row by row."""
    for y0 in range(0, height, side):
        for x0 in range(0, width, side):
            yield PixelBox(x0, y0, min(x0 + side, width), min(y0 + side, height))
