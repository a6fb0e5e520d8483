"""Sound pictures, damaged at places that a seed chooses.

Owns truncation, flipped bits, wrong checksums, shuffled and repeated parts. Endless and reproducible.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from PIL import Image, features

from trials.pictures_case import Case, Expected, drawn, saved
from trials.pictures_exotic import has_heif
from trials.pictures_png import SIGNATURE, chunk, chunks, joined


def damaged_cases(seed: int) -> Iterator[Case]:
    """Damaged pictures without end, each family in its turn."""
    chance = random.Random(seed)
    sound = _sound()
    makers: list[Callable[[random.Random, str, bytes], Case]] = [
        _truncated,
        _flipped,
        _overwritten,
        _rearranged,
        _wrong_checksum,
        _shuffled_chunks,
        _edited_numbers,
    ]
    number = 0
    while True:
        for maker in makers:
            kinds = ("PNG", "APNG") if maker in (_wrong_checksum, _shuffled_chunks) else tuple(sound)
            kind = chance.choice(kinds)
            case = maker(chance, kind, sound[kind])
            yield Case(case.family, f"{case.name} #{number}", case.data, case.expected)
            number += 1


def _sound() -> dict[str, bytes]:
    rgb = drawn()
    exif = Image.Exif()
    exif[0x0112] = 6
    made = {
        "PNG": saved(rgb, "PNG"),
        "APNG": saved(rgb, "PNG", save_all=True, append_images=[Image.fromarray(255 - rgb)]),
        "JPEG": saved(rgb, "JPEG", quality=90, exif=exif),
        "progressive JPEG": saved(rgb, "JPEG", quality=90, progressive=True),
        "CMYK JPEG": saved(Image.fromarray(rgb).convert("CMYK"), "JPEG"),
        "WebP": saved(rgb, "WEBP"),
        "lossless WebP": saved(rgb, "WEBP", lossless=True),
        "animated WebP": saved(rgb, "WEBP", save_all=True, append_images=[Image.fromarray(255 - rgb)]),
    }
    if features.check("avif"):
        made["AVIF"] = saved(rgb, "AVIF")
        made["animated AVIF"] = saved(rgb, "AVIF", save_all=True, append_images=[Image.fromarray(255 - rgb)])
    if has_heif():
        made["HEIC"] = saved(rgb, "HEIF")
    return made


def _truncated(chance: random.Random, kind: str, data: bytes) -> Case:
    at = chance.randrange(1, len(data))
    # The first half never holds the whole picture.
    expected = (
        Expected.REFUSED if at < len(data) // 2 and "A" not in kind[:1] + kind[9:10] else Expected.EITHER
    )
    return Case("truncated", f"{kind} after {at} bytes", data[:at], expected)


def _flipped(chance: random.Random, kind: str, data: bytes) -> Case:
    changed, count = bytearray(data), chance.choice((1, 1, 2, 8, 64))
    for _ in range(count):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return Case("flipped bits", f"{kind}, {count}", bytes(changed))


def _overwritten(chance: random.Random, kind: str, data: bytes) -> Case:
    at, length = chance.randrange(len(data)), chance.randrange(1, 200)
    noise = chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length)))
    return Case("overwritten", f"{kind} at {at}", data[:at] + noise + data[at + length :])


def _rearranged(chance: random.Random, kind: str, data: bytes) -> Case:
    first, second = sorted(chance.sample(range(len(data)), 2))
    middle = data[first:second]
    how = chance.choice(("cut out", "doubled", "turned round"))
    put = {"cut out": b"", "doubled": middle * 2, "turned round": middle[::-1]}[how]
    return Case("rearranged", f"{kind}, {how} {first} to {second}", data[:first] + put + data[second:])


def _wrong_checksum(chance: random.Random, kind: str, data: bytes) -> Case:
    parts = list(chunks(data))
    wrong = chance.randrange(len(parts))
    body = b"".join(
        chunk(name, content, crc=chance.getrandbits(32) if number == wrong else None)
        for number, (name, content) in enumerate(parts)
    )
    name = parts[wrong][0].decode()
    expected = Expected.REFUSED if name == "IHDR" else Expected.EITHER
    return Case("wrong CRC", f"{kind}, {name}", SIGNATURE + body, expected)


def _shuffled_chunks(chance: random.Random, kind: str, data: bytes) -> Case:
    parts = list(chunks(data))
    chance.shuffle(parts)
    return Case("shuffled chunks", kind, joined(parts))


def _edited_numbers(chance: random.Random, kind: str, data: bytes) -> Case:
    # Lengths, counts and offsets stand as big- or little-endian words in every one of these formats.
    at = chance.randrange(max(1, min(len(data), 400) - 4))
    value = chance.choice((0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
    word = value.to_bytes(4, chance.choice(("big", "little")))
    return Case("edited numbers", f"{kind} at {at}: {value:#x}", data[:at] + word + data[at + 4 :])
