"""Pictures that are rare and right: each must come back with its own pixels.

Owns modes, depths, transparency, orientations, profiles, animations and extreme shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageCms, features

from trials.pictures_case import HEIGHT, WIDTH, Case, Expected, Pixels, drawn, grey, on_white, saved
from trials.pictures_png import GREY, GREY_ALPHA, PALETTE, RGB, RGBA, chunk, png

_LOSSY = 4.0  # levels, mean, of a lossy file of good quality
_ORIENTATION = 0x0112
_GOOD: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "PNG": {}, "WEBP": {"lossless": True}}
_STORED: dict[
    int, Callable[[Pixels], Pixels]
] = {  # EXIF orientation -> how upright pixels are stored under it
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}


def exotic_cases() -> Iterator[Case]:
    """All of them, in a fixed order."""
    for make in (_png_modes, _jpeg_modes, _other_formats, _orientations, _profiles, _animated, _shapes):
        yield from make()


def _accepted(family: str, name: str, data: bytes, pixels: Pixels | None, tolerance: float = 0.6) -> Case:
    return Case(family, name, data, Expected.ACCEPTED, pixels, tolerance)


def _png_modes() -> Iterator[Case]:
    rgb = drawn()
    green = rgb[..., 1]
    alpha = np.linspace(0, 255, WIDTH).round().astype(np.uint8)[None].repeat(HEIGHT, 0)
    wide = rgb.astype(np.uint16) * 257
    step = np.uint8(85)
    family = "PNG modes"
    yield _accepted(family, "RGB", png(rgb, RGB), rgb)
    yield _accepted(family, "RGB interlaced", png(rgb, RGB, interlaced=True), rgb)
    yield _accepted(family, "RGBA", png(np.dstack([rgb, alpha]), RGBA), on_white(rgb, alpha), 1.0)
    yield _accepted(family, "RGBA interlaced", png(np.dstack([rgb, alpha]), RGBA, interlaced=True), None)
    yield _accepted(family, "grey", png(green, GREY), grey(rgb))
    grey_alpha = png(np.dstack([green, alpha]), GREY_ALPHA)
    yield _accepted(family, "grey and alpha", grey_alpha, on_white(grey(rgb), alpha), 1.0)
    for depth in (1, 2, 4):
        levels = (green >> (8 - depth)).astype(np.uint8)
        shown = np.repeat((levels.astype(np.uint16) * 255 // (2**depth - 1))[..., None], 3, -1).astype(
            np.uint8
        )
        yield _accepted(family, f"grey of {depth} bits", png(levels, GREY, depth), shown)
        interlaced = png(levels, GREY, depth, interlaced=True)
        yield _accepted(family, f"grey of {depth} bits interlaced", interlaced, shown)
    yield _accepted(family, "16-bit grey", png(wide[..., 1], GREY, 16), grey(rgb), 1.0)
    yield _accepted(family, "16-bit RGB", png(wide, RGB, 16), rgb, 1.0)
    wide_alpha = png(np.dstack([wide, alpha.astype(np.uint16) * 257]), RGBA, 16)
    yield _accepted(family, "16-bit RGBA", wide_alpha, on_white(rgb, alpha), 1.5)
    wide_grey_alpha = png(np.dstack([wide[..., 1], alpha.astype(np.uint16) * 257]), GREY_ALPHA, 16)
    yield _accepted(family, "16-bit grey and alpha", wide_grey_alpha, on_white(grey(rgb), alpha), 1.5)
    colours = np.array([[250, 10, 10], [10, 250, 10], [10, 10, 250], [90, 90, 90]], np.uint8)
    index = (green // step).astype(np.uint8)
    plte = chunk(b"PLTE", colours.tobytes())
    for depth in (2, 8):
        yield _accepted(family, f"palette of {depth} bits", png(index, PALETTE, depth, plte), colours[index])
    clear = np.array([255, 0, 128, 255], np.uint8)
    flat = on_white(colours[index], clear[index])
    yield _accepted(
        family,
        "palette with transparency",
        png(index, PALETTE, 2, plte + chunk(b"tRNS", clear.tobytes())),
        flat,
        1.0,
    )
    key = chunk(b"tRNS", b"\0\x14\0\xc8\0\x5a")  # the corner mark's colour is clear
    keyed = np.where((rgb == (20, 200, 90)).all(-1, keepdims=True), np.uint8(255), rgb)
    yield _accepted(family, "RGB with a clear colour", png(rgb, RGB, extra=key), keyed)
    yield _accepted(family, "short palette", png(index, PALETTE, 8, plte[:4] + plte[4:]), colours[index])
    text = chunk(b"tEXt", b"Comment\0" + b"<script>alert(1)</script>" * 40)
    yield _accepted(family, "with a comment", png(rgb, RGB, extra=text), rgb)


def _jpeg_modes() -> Iterator[Case]:
    rgb, family = drawn(), "JPEG modes"
    kinds: dict[str, dict[str, Any]] = {
        "4:4:4": {"subsampling": 0},
        "4:2:0": {"subsampling": 2},
        "progressive": {"progressive": True},
        "optimised": {"optimize": True},
        "with restarts": {"restart_marker_rows": 1},
    }
    for name, options in kinds.items():
        yield _accepted(family, name, saved(rgb, "JPEG", quality=95, **options), rgb, _LOSSY)
    yield _accepted(family, "grey", saved(rgb[..., 1], "JPEG", quality=95), grey(rgb), _LOSSY)
    inks = Image.fromarray(np.dstack([255 - rgb, np.zeros_like(rgb[..., :1])]), "CMYK")
    cmyk = saved(inks, "JPEG", quality=95, subsampling=0)
    yield _accepted(family, "CMYK, Adobe inverted", cmyk, rgb, _LOSSY)
    yield _accepted(family, "CMYK progressive", saved(inks, "JPEG", quality=95, progressive=True), rgb, 6.0)
    # The transform byte of the Adobe segment says how the four inks were coded: 2 is YCCK.
    at = cmyk.index(b"Adobe") + 11
    yield _accepted(family, "YCCK", cmyk[:at] + b"\x02" + cmyk[at + 1 :], None)
    comment = saved(rgb, "JPEG", quality=95, comment=b"<?php system($_GET[0]); ?>" * 100)
    yield _accepted(family, "with a comment", comment, rgb, _LOSSY)


def _other_formats() -> Iterator[Case]:
    rgb, family = drawn(), "WebP AVIF HEIC"
    alpha = np.full((HEIGHT, WIDTH), 90, np.uint8)
    rgba, flat = np.dstack([rgb, alpha]), on_white(rgb, alpha)
    yield _accepted(family, "WebP", saved(rgb, "WEBP", quality=95), rgb, _LOSSY)
    yield _accepted(family, "WebP lossless", saved(rgb, "WEBP", lossless=True), rgb)
    yield _accepted(family, "WebP with alpha", saved(rgba, "WEBP", lossless=True, exact=True), flat, 1.0)
    if features.check("avif"):
        yield _accepted(family, "AVIF", saved(rgb, "AVIF", quality=95), rgb, _LOSSY)
        yield _accepted(
            family, "AVIF 4:4:4", saved(rgb, "AVIF", quality=95, subsampling="4:4:4"), rgb, _LOSSY
        )
        yield _accepted(family, "AVIF with alpha", saved(rgba, "AVIF", quality=95), flat, _LOSSY)
    if has_heif():
        yield _accepted(family, "HEIC", saved(rgb, "HEIF", quality=95), rgb, _LOSSY)
        yield _accepted(family, "HEIC with alpha", saved(rgba, "HEIF", quality=95), flat, _LOSSY)


def has_heif() -> bool:
    """Whether HEIC can be written here; its opener registers itself with Pillow when imported."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _orientations() -> Iterator[Case]:
    upright = drawn()
    for number, stored in _STORED.items():
        exif = Image.Exif()
        exif[_ORIENTATION] = number
        turned = np.ascontiguousarray(stored(upright))
        for kind, options in _GOOD.items():
            data = saved(turned, kind, exif=exif.tobytes(), **options)
            yield _accepted("orientations", f"{kind} {number}", data, upright, _LOSSY)


def _profiles() -> Iterator[Case]:
    rgb, family = drawn(), "profiles and EXIF"
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    broken = {
        "sRGB": srgb,
        "noise": bytes(range(256)) * 8,
        "cut off": srgb[:200],
        "of another space": lab,
        "with a wild offset": srgb[:140] + b"\xff\xff\xff\xf0" * 4 + srgb[156:],
        "with a million tags": srgb[:128] + b"\x00\x0f\x42\x40" + srgb[132:],
        "that says a wrong size": b"\x7f\xff\xff\xff" + srgb[4:],
        "empty": b"\0",
    }
    exifs = {
        "noise": b"Exif\0\0" + bytes(range(256)),
        "bad offset": b"Exif\0\0II*\0\xff\xff\xff\x7f",
        "endless loop": b"Exif\0\0II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0",
        "65535 entries": b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\x01\0\0\0\x01\0\0\0" * 2000,
        "huge count": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\xff\xff\xff\xff\x10\0\0\0\0\0\0\0",
        "orientation 9": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0\0\0\0\0",
        "orientation as text": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0\0\0\0\0",
    }
    for kind, options in _GOOD.items():
        for name, profile in broken.items():
            pixels = rgb if name in ("sRGB", "noise", "cut off", "of another space", "empty") else None
            data = saved(rgb, kind, icc_profile=profile, **options)
            yield _accepted(family, f"{kind}, profile {name}", data, pixels, _LOSSY)
        for name, exif in exifs.items():
            data = saved(rgb, kind, exif=exif, **options)
            yield _accepted(family, f"{kind}, EXIF {name}", data, rgb, _LOSSY)


def _animated() -> Iterator[Case]:
    first = drawn()
    rest = [Image.fromarray(255 - first), Image.fromarray(first[::-1].copy())]
    for kind in ("PNG", "WEBP", *(("AVIF",) if features.check("avif") else ())):
        options = {} if kind == "PNG" else {"quality": 95}
        data = saved(first, kind, save_all=True, append_images=rest, duration=80, **options)
        yield _accepted("animated", kind, data, first, _LOSSY)


def _shapes() -> Iterator[Case]:
    family = "extreme shapes"
    kinds = ["PNG", "JPEG", "WEBP", *(("AVIF",) if features.check("avif") else ())]
    for kind in kinds:
        yield _accepted(family, f"{kind} 1 x 1", saved(np.full((1, 1, 3), 77, np.uint8), kind), None)
        longest = {"WEBP": 16383}.get(kind, 30000)
        for shape in ((longest, 1), (1, longest)):
            data = saved(np.full((*shape, 3), 77, np.uint8), kind)
            yield Case(family, f"{kind} {shape[1]} x {shape[0]}", data, _long(kind))
    for depth in (1, 8):
        column = png(np.ones((30000, 1), np.uint8), GREY, depth, interlaced=True)
        yield _accepted(family, f"PNG 1 x 30000 of {depth} bits, interlaced", column, None)


def _long(kind: str) -> Expected:
    # libavif has a limit of its own for the length of a side; both answers are right.
    return Expected.EITHER if kind == "AVIF" else Expected.ACCEPTED
