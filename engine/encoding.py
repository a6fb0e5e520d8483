"""Pictures to the bytes of lossy image files.

Owns encoder settings. OpenCV writes the files and releases the interpreter's lock. Callers pass RGB order;
OpenCV's BGR does not leave this module. PNG is `engine.png`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = 95) -> bytes:
    """Write a JPEG with full colour resolution (4:4:4).

    Args:
        pixels: [H, W] grey or [H, W, 3] RGB; a JPEG has no alpha.
        quality: 1 to 100.

    Raises:
        ValueError: `pixels` has an alpha channel.
    """
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        raise ValueError("a JPEG has no alpha: flatten the picture first")
    # Chroma at half resolution would smear colour across the edge of a fill into untouched pixels.
    return _encode(
        ".jpg",
        pixels,
        (
            cv2.IMWRITE_JPEG_QUALITY,
            quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        ),
    )


def encode_webp(pixels: NDArray[np.uint8], quality: int = 92) -> bytes:
    """Write a lossy WebP.

    Args:
        pixels: [H, W] grey, [H, W, 3] RGB or [H, W, 4] RGBA; at most 16383 pixels a side.
        quality: 1 to 100.
    """
    return _encode(".webp", pixels, (cv2.IMWRITE_WEBP_QUALITY, quality))


def _encode(extension: str, pixels: NDArray[np.uint8], settings: Sequence[int]) -> bytes:
    if pixels.ndim == 3:
        order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
        pixels = cv2.cvtColor(pixels, order).astype(np.uint8, copy=False)
    is_encoded, data = cv2.imencode(extension, pixels, settings)
    assert is_encoded, extension
    return data.tobytes()
