"""Pictures to PNG files, and our own PNG files back to pictures.

Owns the format as this service writes it: 8 bits, no palette, not interlaced, tagged sRGB, every row of a
photo stored as its difference to the row above. Deflate is ISA-L's, which packs such rows five times as fast
as OpenCV at equal size (docs/pixels.md). Reading what a user uploaded is `engine.photo`'s.

Source: Portable Network Graphics (PNG) Specification, third edition, W3C 2025.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from engine.errors import PhotoError
from engine.types import RgbImage

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # channels: grey, RGB, RGBA
_AS_IS, _LESS_ROW_ABOVE = 0, 2  # how a row is stored
_LEVEL = 1  # of ISA-L's 0 to 3: 0 is hardly faster and a quarter larger, 2 and 3 hardly smaller
_HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, colour type, deflate, filters, interlace
_CHUNK_HEAD = struct.Struct(">I4s")
_NotDeflate: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stubs make it an instance


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Write a PNG, lossless, tagged sRGB.

    `pixels` is [H, W] grey, [H, W, 3] RGB or [H, W, 4] RGBA with straight alpha.
    """
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    rows = pixels.reshape(height, width * channels)
    stored = np.empty((height, 1 + width * channels), np.uint8)
    if pixels.ndim == 2:
        # A mask: long runs of one value, which differences would break up.
        stored[:, 0], stored[:, 1:] = _AS_IS, rows
    else:
        stored[:, 0], stored[0, 1:] = _LESS_ROW_ABOVE, rows[0]
        np.subtract(rows[1:], rows[:-1], out=stored[1:, 1:])
    head = _HEADER.pack(width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    packed = isal_zlib.compress(stored, _LEVEL)
    chunks = ((b"IHDR", head), (b"sRGB", b"\0"), (b"IDAT", packed), (b"IEND", b""))
    return b"".join([_SIGNATURE, *(part for name, body in chunks for part in _chunk(name, body))])


def decode_png(data: bytes) -> RgbImage:
    """Read back a picture in RGB that `encode_png` wrote; fast, and only for files of our own.

    Raises:
        PhotoError: The file is damaged.
    """
    pixels = _decode_our_own(data)
    if pixels is None:  # of an earlier version
        pixels = _decode_any(data)
    pixels.flags.writeable = False
    return RgbImage(pixels)


def _chunk(name: bytes, body: bytes) -> tuple[bytes, bytes, bytes]:
    check = zlib.crc32(body, zlib.crc32(name))
    return _CHUNK_HEAD.pack(len(body), name), body, struct.pack(">I", check)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Names and bodies; `struct.error` where the file ends too early, ValueError where a chunk is damaged."""
    view, position = memoryview(data), len(_SIGNATURE)
    while True:
        length, name = _CHUNK_HEAD.unpack_from(view, position)
        end = position + _CHUNK_HEAD.size + length
        body = view[position + _CHUNK_HEAD.size : end]
        (check,) = struct.unpack_from(">I", view, end)
        if check != zlib.crc32(body, zlib.crc32(name)):
            raise ValueError("a chunk is damaged")
        yield name, body
        if name == b"IEND":
            return
        position = end + 4


def _decode_our_own(data: bytes) -> NDArray[np.uint8] | None:
    """[H, W, 3]; None if `encode_png` does not write like this."""
    try:
        chunks = list(_chunks(data))
        packed = [body for name, body in chunks if name == b"IDAT"]
        width, height, *rest = _HEADER.unpack(dict(chunks)[b"IHDR"])
        if rest != [8, _COLOUR_TYPES[3], 0, 0, 0] or len(packed) != 1:
            return None
        size = height * (1 + 3 * width)
        unpacked = np.frombuffer(isal_zlib.decompress(packed[0], bufsize=size), np.uint8)
        stored = unpacked.reshape(height, 1 + 3 * width)
    except (struct.error, ValueError, KeyError, _NotDeflate) as error:
        raise PhotoError("the stored picture is damaged") from error
    if not np.isin(stored[:, 0], (_AS_IS, _LESS_ROW_ABOVE)).all():
        return None
    rows = np.empty((height, 3 * width), np.uint8)
    above = np.zeros(3 * width, np.uint8)
    for row, differences, kind in zip(rows, stored[:, 1:], stored[:, 0], strict=True):
        np.add(differences, above if kind == _LESS_ROW_ABOVE else 0, out=row)
        above = row
    return rows.reshape(height, width, 3)


def _decode_any(data: bytes) -> NDArray[np.uint8]:
    try:
        pixels = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise PhotoError("the stored picture is damaged") from error
    if pixels is None:
        raise PhotoError("the stored picture is damaged")
    return pixels.astype(np.uint8, copy=False)
