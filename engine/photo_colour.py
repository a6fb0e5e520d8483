"""Any decoded picture to 8-bit sRGB without alpha.

Owns bit depth, palettes, transparency, CMYK and ICC profiles. Knows nothing of files.
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from PIL import Image, ImageCms

_ICC_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def flatten_to_base(
    picture: Image.Image, notes: list[str], background: Literal["white", "black"] = "white"
) -> Image.Image:
    """Bring a decoded picture to mode L, RGB or CMYK: 8 bits a channel, no palette, no alpha.

    Args:
        picture: Decoded, of any mode.
        notes: Sentences are appended about what was changed.
        background: What shows through where the picture is transparent.
    """
    if picture.mode.startswith("I;16"):
        return _flatten_16_bit(picture, notes, background)
    if picture.mode in ("RGB", "L", "CMYK") and "transparency" not in picture.info:
        return picture
    if not picture.has_transparency_data:
        return picture.convert("L" if picture.mode in ("1", "I", "F") else "RGB")
    with_alpha = picture.convert("RGBA")
    alpha = with_alpha.getchannel("A")
    flat = with_alpha.convert("RGB")
    if alpha.getextrema() == (255, 255):
        return flat
    notes.append(f"transparency flattened on {background}")
    base = Image.new("RGB", picture.size, background)
    base.paste(flat, mask=alpha)
    return base


def convert_to_srgb(picture: Image.Image, icc_profile: bytes | None, notes: list[str]) -> Image.Image:
    """Bring a picture of mode L, RGB or CMYK to sRGB, by its ICC profile where it has a sound one.

    A profile that is damaged or made for another kind of picture is ignored with a note.
    """
    if icc_profile:
        try:
            return _apply_profile(picture, icc_profile, notes)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError):
            notes.append("unusable ICC profile ignored")
    if picture.mode == "CMYK":
        notes.append("CMYK converted to sRGB without a profile")
    return _as_rgb(picture)


def _apply_profile(picture: Image.Image, icc_profile: bytes, notes: list[str]) -> Image.Image:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    mode = _ICC_SPACES[profile.profile.xcolor_space]
    if mode != picture.mode:
        if "CMYK" in (mode, picture.mode):
            raise ValueError(f"a {mode} profile in a {picture.mode} picture")
        # An RGB profile in a grey JPEG is common and meant for the grey as RGB; a grey picture with
        # transparency was flattened in RGB.
        if mode == "L" and not _is_grey(picture):
            raise ValueError(f"a {mode} profile in a {picture.mode} picture")
        picture = picture.convert(mode)
    transform = ImageCms.buildTransform(
        profile, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    if mode != "CMYK" and _is_identity(transform, mode):
        return _as_rgb(picture)
    converted = ImageCms.applyTransform(picture, transform)
    if converted is None:
        raise ValueError("the profile was not applied")
    notes.append("ICC profile converted to sRGB")
    return converted


def _is_grey(picture: Image.Image) -> bool:
    red, green, blue = picture.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()


def _as_rgb(picture: Image.Image) -> Image.Image:
    return picture if picture.mode == "RGB" else picture.convert("RGB")  # converting always copies


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform moves no colour of a lattice by more than one level: sRGB under any name."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    lattice = (
        steps[None, :] if mode == "L" else np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    )
    source = Image.fromarray(np.ascontiguousarray(lattice))
    moved = ImageCms.applyTransform(source, transform)
    if moved is None:
        return False
    before = np.asarray(source.convert("RGB"), dtype=np.int16)
    return bool(np.abs(np.asarray(moved, dtype=np.int16) - before).max() <= 1)


def _flatten_16_bit(
    picture: Image.Image, notes: list[str], background: Literal["white", "black"]
) -> Image.Image:
    levels = np.asarray(picture).astype(np.uint32)
    grey = ((levels + 128) // 257).astype(np.uint8)
    clear = picture.info.get("transparency")
    if isinstance(clear, int) and (levels == clear).any():
        grey[levels == clear] = 255 if background == "white" else 0
        notes.append(f"transparency flattened on {background}")
    return Image.fromarray(grey)
