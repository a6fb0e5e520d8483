"""What a hostile or exotic picture is in this trial: its bytes, and what must become of them.

Owns the case and the picture that all cases are drawn from. Nothing is random here.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 160, 112

Pixels = NDArray[np.uint8]


class Expected(StrEnum):
    """What must become of a picture."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    EITHER = "either"  # as the decoder finds enough of it; never anything else


@dataclass(frozen=True, slots=True)
class Case:
    """One upload.

    `pixels` ([H, W, 3] sRGB, None where they are not known) must come back as `original.png`, the mean
    difference at most `tolerance` levels. `says` must be in a refusal's words.
    """

    family: str
    name: str
    data: bytes
    expected: Expected = Expected.EITHER
    pixels: Pixels | None = None
    tolerance: float = 0.6
    says: str = ""


def drawn(width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """uint8 [H, W, 3]: soft gradients with a disc and a corner mark, so that no turn of it equals another."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    picture = np.stack([40 + 150 * x / width, 60 + 120 * y / height, 200 - 90 * x / width], axis=-1)
    picture[(x - 0.3 * width) ** 2 + (y - 0.4 * height) ** 2 < (0.2 * height) ** 2] = (230, 120, 40)
    picture[: height // 4, : width // 8] = (20, 200, 90)
    return picture.round().astype(np.uint8)


def grey(pixels: Pixels) -> Pixels:
    """[H, W, 3] of the green channel, for formats without colour."""
    return np.repeat(pixels[..., 1:2], 3, axis=-1)


def on_white(pixels: Pixels, alpha: NDArray[np.uint8]) -> Pixels:
    """`pixels` with `alpha` laid on white."""
    share = alpha[..., None].astype(np.float32) / 255
    flat: Pixels = (pixels * share + 255 * (1 - share)).round().astype(np.uint8)
    return flat


def saved(picture: Pixels | Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of an image file of Pillow's format `kind`."""
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, kind, **options)
    return buffer.getvalue()
