"""Uploaded bytes to a picture that the rest of the engine can trust.

Owns which formats are accepted, the limits, and the order of the steps: open, check the size
from the header, decode, sRGB, downscale, orient. Colour is `engine.photo_colour`'s, naming what
was refused `engine.photo_format`'s, and writing pictures `engine.png`'s and `engine.encoding`'s.
Everything that a decoder may raise on hostile bytes is translated here, once, into `PhotoError`.
"""

from __future__ import annotations

import hashlib
import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from engine.errors import PhotoError
from engine.photo_colour import convert_to_srgb, flatten_to_base
from engine.photo_format import ACCEPTED_FORMATS, describe_refused, format_label
from engine.types import MaskRegion, PixelBox, RgbImage

MAX_SCANS = 1000  # of a JPEG; encoders write at most a few dozen, a phone's file several pictures
_ORIENTATION_TAG = 0x0112
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Python's warning filters are one per process: two threads in catch_warnings at once can leave
# them silenced for good. Only header and EXIF parsing warns, so only that waits in line.
_warnings_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Photo:
    """An uploaded picture after intake.

    `uploaded_width` and `uploaded_height` are those of the upload after orientation, before the
    downscale. `format` is JPEG, PNG, WebP, HEIC or AVIF. `notes` are plain sentences about what
    was changed on the way in.
    """

    image: RgbImage
    uploaded_width: int
    uploaded_height: int
    format: str
    notes: tuple[str, ...]


def read_photo(data: bytes | Path, *, max_pixels: int, max_side: int) -> Photo:
    """Decode an upload into upright 8-bit sRGB, its longer side at most `max_side` pixels.

    Args:
        data: The file's bytes, or where it lies.
        max_pixels: Refuse pictures with more pixels than this, judged from the header alone.
        max_side: Longest side of the answer, in pixels; smaller pictures are left as they are.

    Raises:
        PhotoError: The message begins "Invalid image data: " and says what is wrong.
        OSError: `data` is a path that cannot be read.
    """
    with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as source, _translated(source):
        with _open(source, ACCEPTED_FORMATS) as opened:
            width, height = opened.size
            _refuse_too_many_pixels(width, height, max_pixels)
            if opened.format in ("JPEG", "MPO"):
                _refuse_too_many_scans(source)
            notes = [] if not _is_animated(opened) else ["first frame of an animation"]
            target = _fit(width, height, max_side)
            # Lets the JPEG decoder skip work: it halves while still twice as large as needed, to
            # within a pixel of rounding.
            opened.draft(None, (2 * target[0] - 1, 2 * target[1] - 1))
            opened.load()
            orientation = _orientation(opened, notes)
            picture = flatten_to_base(opened, notes)
            if _is_16_bit_png(opened, source):
                notes.append("16-bit scaled to 8-bit")
            if target != (width, height):
                picture = picture.resize(target, Image.Resampling.LANCZOS, reducing_gap=3.0)
            picture = convert_to_srgb(picture, opened.info.get("icc_profile"), notes)
            if orientation in _TRANSPOSITIONS:
                picture = picture.transpose(_TRANSPOSITIONS[orientation])
            label = format_label(opened.format)
        is_scaled = target != (width, height)
        if orientation >= 5:
            width, height = height, width
        if is_scaled:
            notes.append(f"scaled down from {width} x {height}")
        pixels = np.asarray(picture, dtype=np.uint8)
        pixels.flags.writeable = False
        return Photo(RgbImage(pixels), width, height, label, tuple(notes))


def read_mask(data: bytes, width: int, height: int) -> MaskRegion:
    """Read an object's mask that a client sends: a PNG of the picture's size, light = object.

    Grey and colour count as the object above half brightness; transparent pixels are not the object.

    Raises:
        PhotoError: Not a PNG, damaged, or not `width` x `height` pixels.
    """
    with io.BytesIO(data) as source, _translated(source):
        with _open(source, ("PNG",)) as opened:
            if opened.size != (width, height):
                raise PhotoError(
                    f"Invalid image data: the mask is {opened.width} x {opened.height}, "
                    f"the picture {width} x {height}"
                )
            opened.load()
            picture = flatten_to_base(opened, [], background="black").convert("L")
        mask = np.asarray(picture) > 127
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return MaskRegion(PixelBox(0, 0, 0, 0), np.zeros((0, 0), np.bool_))
    box = PixelBox(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return MaskRegion(box, np.ascontiguousarray(mask[box.slices]))


def picture_digest(image: RgbImage) -> str:
    """Hex name (64 digits) of a picture's content: the same size and pixels give the same name."""
    digest = hashlib.sha256()
    digest.update(f"rgb {image.width} {image.height} ".encode())
    digest.update(np.ascontiguousarray(image.pixels).data)
    return digest.hexdigest()


@contextmanager
def _translated(source: BinaryIO) -> Iterator[None]:
    """Turn whatever decoding raises into PhotoError: on hostile bytes that can be any exception."""
    try:
        yield
    except (PhotoError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        # Pillow refuses these before our own limit is asked; its message names its own.
        pixels = re.search(r"\d+", str(error))
        size = f"{int(pixels.group()) / 1e6:.1f} megapixels" if pixels else "its size"
        raise PhotoError(
            f"Invalid image data: {size} is more than the limit; send a smaller version"
        ) from error
    except UnidentifiedImageError as error:
        source.seek(0)
        raise PhotoError(f"Invalid image data: {describe_refused(source.read(64))}") from error
    except Exception as error:
        text = str(error)
        # How libheif and libavif say that an allocation failed; libheif also says so of its own limits.
        if re.search("out of memory|memory allocation", text, re.IGNORECASE) and "limit" not in text:
            raise MemoryError(text) from error
        if "MAX_TEXT" in text:
            raise PhotoError(
                "Invalid image data: the texts or the profile in the file are too large; "
                "send a re-saved version"
            ) from error
        raise PhotoError("Invalid image data: the file is truncated or corrupt") from error


@contextmanager
def _silenced() -> Iterator[None]:
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _open(source: BinaryIO, formats: tuple[str, ...]) -> ImageFile.ImageFile:
    if not source.read(1):
        raise PhotoError("Invalid image data: the file is empty")
    source.seek(0)
    with _silenced():
        return Image.open(source, formats=formats)


def _refuse_too_many_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PhotoError(
            f"Invalid image data: {width} x {height} is {width * height / 1e6:.1f} megapixels, "
            f"more than the limit of {max_pixels / 1e6:.1f}; send a smaller version"
        )


def _refuse_too_many_scans(source: BinaryIO) -> None:
    # Each scan of a progressive JPEG is a pass over the whole picture, and may be ten bytes long. Within a
    # scan the marker cannot occur.
    source.seek(0)
    scans = source.read().count(b"\xff\xda")
    if scans > MAX_SCANS:
        raise PhotoError(
            f"Invalid image data: the JPEG has {scans} scans, more than the limit of {MAX_SCANS}; "
            "send a re-saved version"
        )


def _is_animated(opened: ImageFile.ImageFile) -> bool:
    # A phone's JPEG may hold more pictures (depth, preview) and a HEIC a burst: not an animation.
    return opened.format in ("PNG", "WEBP", "AVIF") and bool(getattr(opened, "is_animated", False))


def _is_16_bit_png(opened: ImageFile.ImageFile, source: BinaryIO) -> bool:
    if opened.format != "PNG":
        return False
    source.seek(24)
    return source.read(1) == b"\x10"


def _fit(width: int, height: int, max_side: int) -> tuple[int, int]:
    scale = max_side / max(width, height)
    if scale >= 1:
        return width, height
    return max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5))


def _orientation(opened: ImageFile.ImageFile, notes: list[str]) -> int:
    try:
        with _silenced():
            orientation = opened.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:
        # EXIF is a TIFF parser's input and fails in many ways; the picture itself is fine.
        notes.append("damaged EXIF data ignored")
        return 1
    if orientation in range(1, 9):
        return int(orientation)
    notes.append("EXIF orientation ignored: not one of 1 to 8")
    return 1
