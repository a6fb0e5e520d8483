"""Pictures to the bytes of image files, and our own files back to pictures.

Owns encoder settings. OpenCV writes the files: at equal size its PNG encoder is the faster of
the two (docs/pixels.md), and it releases the interpreter's lock. Callers pass RGB order; OpenCV's
BGR does not leave this module. Reading what a user uploaded is `engine.photo`'s.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import PhotoError
from engine.types import RgbImage

_IHDR_END = 33  # signature 8, then the IHDR chunk of 25 bytes
_PERCEPTUAL_INTENT = b"\x00"


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


_SRGB_CHUNK = _chunk(b"sRGB", _PERCEPTUAL_INTENT)


def encode_png(pixels: NDArray[np.uint8], level: int = 1) -> bytes:
    """Write a PNG, lossless, tagged sRGB.

    Args:
        pixels: [H, W] grey, [H, W, 3] RGB or [H, W, 4] RGBA with straight alpha.
        level: Deflate level 1 (fast) to 9 (small).
    """
    # A grey picture is a mask: long runs, for which filters and matching only cost.
    strategy, png_filter = (
        (cv2.IMWRITE_PNG_STRATEGY_RLE, cv2.IMWRITE_PNG_FILTER_NONE)
        if pixels.ndim == 2
        else (cv2.IMWRITE_PNG_STRATEGY_DEFAULT, cv2.IMWRITE_PNG_FILTER_UP)
    )
    settings = (
        *(cv2.IMWRITE_PNG_COMPRESSION, level),
        *(cv2.IMWRITE_PNG_STRATEGY, strategy),
        *(cv2.IMWRITE_PNG_FILTER, png_filter),
    )
    data = _encode(".png", pixels, settings)
    return data[:_IHDR_END] + _SRGB_CHUNK + data[_IHDR_END:]


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


def decode_png(data: bytes) -> RgbImage:
    """Read back a picture that `encode_png` wrote; fast, and only for files of our own.

    Raises:
        PhotoError: The file is damaged.
    """
    try:
        pixels = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise PhotoError("the stored picture is damaged") from error
    if pixels is None:
        raise PhotoError("the stored picture is damaged")
    pixels.flags.writeable = False
    return RgbImage(pixels.astype(np.uint8, copy=False))


def _encode(extension: str, pixels: NDArray[np.uint8], settings: Sequence[int]) -> bytes:
    if pixels.ndim == 3:
        order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
        pixels = cv2.cvtColor(pixels, order).astype(np.uint8, copy=False)
    is_encoded, data = cv2.imencode(extension, pixels, settings)
    assert is_encoded, extension
    return data.tobytes()
