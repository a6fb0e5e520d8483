"""Small files that cost much to decode, or claim to.

Owns false and huge sizes, streams that inflate without end, and pictures made to be slow.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, features

from trials.pictures_case import HEIGHT, WIDTH, Case, Expected, drawn, saved
from trials.pictures_exotic import has_heif
from trials.pictures_png import GREY, RGB, SIGNATURE, chunk, chunks, header, joined, png

_LARGE = 100_000  # px a side: 10 gigapixels


def bomb_cases(max_pixels: int, max_bytes: int) -> Iterator[Case]:
    """All of them, made for a service with these limits, in a fixed order."""
    yield from _false_sizes()
    yield from _sizes_at_the_cap(max_pixels)
    yield from _inflating()
    yield from _hidden_sizes()
    yield from _slow(max_pixels, max_bytes)


def _false_sizes() -> Iterator[Case]:
    family, rgb = "huge dimensions", drawn()
    parts = list(chunks(saved(rgb, "PNG")))
    for name, width, height in (
        ("100000 x 100000", _LARGE, _LARGE),
        ("2147483647 x 2147483647", 2**31 - 1, 2**31 - 1),
        ("4294967295 x 1", 2**32 - 1, 1),
        ("1 x 2147483647", 1, 2**31 - 1),
    ):
        claimed = [(b"IHDR", struct.pack(">II", width, height) + parts[0][1][8:]), *parts[1:]]
        yield Case(family, f"PNG {name}", joined(claimed), Expected.REFUSED)
    jpeg = saved(rgb, "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    claimed_jpeg = jpeg[:at] + struct.pack(">HH", 65_500, 65_500) + jpeg[at + 4 :]
    yield Case(family, "JPEG 65500 x 65500", claimed_jpeg, Expected.REFUSED, says="megapixels")
    extended = bytearray(saved(np.dstack([rgb, rgb[..., 0]]), "WEBP"))
    extended[24:30] = b"\xff\xff\xff" * 2  # of the VP8X chunk: canvas width and height less one
    yield Case(family, "WebP 16777216 x 16777216", bytes(extended), Expected.REFUSED)
    extended[24:30] = (16_382).to_bytes(3, "little") * 2
    yield Case(family, "WebP 16383 x 16383", bytes(extended), Expected.REFUSED)
    for kind in _box_formats():
        box = saved(rgb, kind)
        for width, height in ((65_000, 65_000), (2**32 - 1, 2**32 - 1), (2**31, 2)):
            yield Case(family, f"{kind} {width} x {height}", _with_size(box, width, height), Expected.REFUSED)
    family = "zero dimensions"
    for width, height in ((0, 0), (0, 5), (5, 0)):
        empty = [(b"IHDR", struct.pack(">II", width, height) + parts[0][1][8:]), *parts[1:]]
        yield Case(family, f"PNG {width} x {height}", joined(empty), Expected.REFUSED)
        zero = jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]
        yield Case(family, f"JPEG {width} x {height}", zero, Expected.REFUSED)
    for kind in _box_formats():
        yield Case(family, f"{kind} 0 x 0", _with_size(saved(rgb, kind), 0, 0), Expected.REFUSED)


def _box_formats() -> list[str]:
    return [*(["AVIF"] if features.check("avif") else []), *(["HEIF"] if has_heif() else [])]


def _with_size(data: bytes, width: int, height: int) -> bytes:
    """An AVIF or HEIC whose image spatial extents claim another size."""
    size = re.escape(struct.pack(">II", WIDTH, HEIGHT))
    claimed = struct.pack(">II", width, height)
    changed, count = re.subn(rb"(ispe\0\0\0\0)" + size, lambda found: found[1] + claimed, data)
    assert count, "the file has no size to change"
    return changed


def _sizes_at_the_cap(max_pixels: int) -> Iterator[Case]:
    family, side = "decompression bombs", int(max_pixels**0.5)
    for name, picture in {
        "1 bit": Image.new("1", (side, side)),
        "RGBA": Image.new("RGBA", (side, side)),
    }.items():
        yield Case(family, f"PNG {name} at the cap", saved(picture, "PNG"), Expected.ACCEPTED)
    above = Image.new("1", (side + 1, side + 1))
    yield Case(family, "PNG above the cap", saved(above, "PNG"), Expected.REFUSED, says="megapixels")
    flat = Image.new("RGB", (side, side), "teal")
    yield Case(family, "JPEG at the cap", saved(flat, "JPEG"), Expected.ACCEPTED)
    if side <= 16_383:
        yield Case(family, "WebP at the cap", saved(flat, "WEBP", lossless=True, method=0), Expected.ACCEPTED)
    for kind in _box_formats():
        options = {"speed": 10} if kind == "AVIF" else {}
        at_cap = Image.new("RGB", (side & ~1, side & ~1), "teal")
        yield Case(
            family, f"{kind} at the cap", saved(at_cap, kind, quality=30, **options), Expected.ACCEPTED
        )


def _inflating() -> Iterator[Case]:
    family, rgb = "decompression bombs", drawn()
    parts = list(chunks(saved(rgb, "PNG")))
    zeros = _zeros(1 << 30)
    yield Case(family, "PNG, a gigabyte behind the pixels", _png_of(zeros))
    for name in (b"iCCP", b"zTXt", b"iTXt"):
        words = b"bomb\0" + (b"\x01\0\0\0" if name == b"iTXt" else b"\0") + zeros
        yield Case(
            family, f"PNG, a gigabyte of {name.decode()}", joined([parts[0], (name, words), *parts[1:]])
        )
    many = [(b"zTXt", b"bomb\0\0" + _zeros(900_000))] * 300
    yield Case(family, "PNG, 300 texts of 0.9 MB", joined([parts[0], *many, *parts[1:]]))
    jpeg = saved(rgb, "JPEG", quality=95)
    profile = b"".join(
        b"\xff\xe2\xff\xff" + b"ICC_PROFILE\0" + bytes([number, 20]) + bytes(65_519)
        for number in range(1, 21)
    )
    yield Case(family, "JPEG, a profile of 1.3 MB zeros", jpeg[:2] + profile + jpeg[2:], Expected.ACCEPTED)
    empty_chunks = [(b"tEXt", b"a\0b")] * 50_000
    yield Case(family, "PNG, 50000 chunks", joined([parts[0], *empty_chunks, *parts[1:]]))
    yield Case(
        family, "PNG, 50000 IDAT of nothing", joined([parts[0], *[(b"IDAT", b"")] * 50_000, *parts[1:]])
    )


def _zeros(count: int) -> bytes:
    """A zlib stream of `count` zeros, about a thousandth as long."""
    packer = zlib.compressobj(9)
    piece = bytes(1 << 20)
    packed = b"".join(packer.compress(piece) for _ in range(count >> 20))
    return packed + packer.compress(bytes(count & 0xFFFFF)) + packer.flush()


def _png_of(stream: bytes) -> bytes:
    return SIGNATURE + header(WIDTH, HEIGHT, 8, RGB) + chunk(b"IDAT", stream) + chunk(b"IEND")


def _hidden_sizes() -> Iterator[Case]:
    """The container says small, the coded picture inside is large."""
    family = "huge dimensions"
    large = Image.new("RGB", (2400, 2400), "teal")
    for kind in _box_formats():
        data = saved(large, kind, quality=30, **({"speed": 10} if kind == "AVIF" else {}))
        found = re.search(rb"ispe\0\0\0\0(.{8})", data, re.S)
        if found:
            small = data[: found.start(1)] + struct.pack(">II", 64, 64) + data[found.end(1) :]
            yield Case(family, f"{kind}, small outside and large inside", small)
    webp = bytearray(saved(np.dstack([drawn(), drawn()[..., 0]]), "WEBP"))
    webp[24:30] = (3).to_bytes(3, "little") * 2
    yield Case(family, "WebP, small outside and large inside", bytes(webp))
    frames = [Image.new("RGB", (500, 500), (level, 0, 0)) for level in range(0, 250, 2)]
    for kind in ("PNG", "WEBP"):
        film = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=1)
        yield Case(family, f"{kind} of {len(frames)} frames", film, Expected.ACCEPTED)


def _slow(max_pixels: int, max_bytes: int) -> Iterator[Case]:
    family, side = "slow to decode", int(max_pixels**0.5)
    scans = _many_scans(side, max_bytes - 100_000)
    yield Case(family, "JPEG of thousands of scans", scans)
    long_column = png(np.zeros((max_pixels // 64, 64), np.uint8), GREY, 1, interlaced=True)
    yield Case(family, "PNG, a long column, interlaced", long_column)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + b"\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\x08\0\0\0"
    yield Case(family, "JPEG, EXIF that leads back to itself", saved(drawn(), "JPEG", exif=exif))


def _many_scans(side: int, length: int) -> bytes:
    """A progressive JPEG of `length` bytes that repeats its last scan: each costs a pass over all blocks."""
    data = saved(Image.new("L", (side, side), 90), "JPEG", progressive=True)
    starts = [found.start() for found in re.finditer(rb"\xff\xda", data)]
    tables = [found.start() for found in re.finditer(rb"\xff\xc4", data)]
    last = max([at for at in tables if at < starts[-1]], default=starts[-1])
    scan = data[last:-2]
    return data[:-2] + scan * max(1, min(20_000, (length - len(data)) // len(scan))) + b"\xff\xd9"
