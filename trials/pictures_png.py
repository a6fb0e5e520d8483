"""PNG files written chunk by chunk, so that each chunk can be wrong on purpose.

Owns the writing of chunks, of every colour type and depth, and of interlaced files.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(name: bytes, body: bytes = b"", crc: int | None = None) -> bytes:
    """One chunk; `crc` to write another than the right one."""
    right = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", right if crc is None else crc)


def header(width: int, height: int, depth: int, colour: int, interlaced: bool = False) -> bytes:
    """The IHDR chunk."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and bodies of the chunks of a sound file."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def joined(parts: list[tuple[bytes, bytes]]) -> bytes:
    """A file of these chunks."""
    return SIGNATURE + b"".join(chunk(name, body) for name, body in parts)


def png(
    samples: NDArray[np.uint8] | NDArray[np.uint16],
    colour: int,
    depth: int = 8,
    extra: bytes = b"",
    interlaced: bool = False,
) -> bytes:
    """A PNG of `samples` ([H, W] or [H, W, channels], values below 2**depth); `extra` chunks before IDAT."""
    height, width = samples.shape[:2]
    if interlaced:
        passes = [samples[y::down, x::across] for x, y, across, down in _ADAM7]
        raw = b"".join(_rows(one, depth) for one in passes if one.size)
    else:
        raw = _rows(samples, depth)
    body = header(width, height, depth, colour, interlaced) + extra + chunk(b"IDAT", zlib.compress(raw))
    return SIGNATURE + body + chunk(b"IEND")


def _rows(samples: NDArray[np.uint8] | NDArray[np.uint16], depth: int) -> bytes:
    flat = samples.reshape(samples.shape[0], -1)
    if depth == 16:
        packed = flat.astype(">u2").view(np.uint8)
    elif depth == 8:
        packed = flat.astype(np.uint8)
    else:
        bits = (flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        packed = np.packbits(bits.reshape(flat.shape[0], -1).astype(np.uint8), axis=1)
    return np.pad(packed, ((0, 0), (1, 0))).tobytes()
