"""Which picture formats are accepted, and what to call those that are not.

Owns the list given to Pillow's opener, so that none of its some forty parsers sees an upload
unless it is meant to. Decoding itself is `engine.photo`'s.
"""

from __future__ import annotations

from PIL import features

try:
    import pillow_heif

    pillow_heif.register_heif_opener()
except ImportError:
    pillow_heif = None

_LABELS = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "WEBP": "WebP", "HEIF": "HEIC", "AVIF": "AVIF"}

ACCEPTED_FORMATS: tuple[str, ...] = (
    "JPEG",
    "PNG",
    "WEBP",
    *(("AVIF",) if features.check("avif") else ()),
    *(("HEIF",) if pillow_heif is not None else ()),
)
"""Pillow's names of the formats that `read_photo` opens in this installation."""

_REFUSED = (
    (0, b"GIF8", "GIF"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "EPS"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"<svg", "SVG"),
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftyp", "video"),
)
_DAMAGED = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (8, b"WEBP", "WebP"),
)


def format_label(pillow_format: str | None) -> str:
    """What to call an accepted format: JPEG, PNG, WebP, HEIC or AVIF."""
    return _LABELS[pillow_format or ""]


def describe_refused(head: bytes) -> str:
    """Say why a file was not opened, from its first bytes (64 are enough)."""
    accepted = ", ".join(dict.fromkeys(_LABELS[name] for name in ACCEPTED_FORMATS))
    for offset, magic, label in _DAMAGED:
        if head[offset:].startswith(magic):
            return f"the {label} file is truncated or corrupt"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith((b"<?xml", b"<!DOCTYPE svg")):
        return f"SVG or XML is not supported; send one of {accepted}"
    for offset, magic, label in _REFUSED:
        if (head if offset else text if magic[:1] == b"<" else head)[offset:].startswith(magic):
            if label in accepted:
                return f"the {label} file is truncated or corrupt"
            return f"{label} is not supported; send one of {accepted}"
    return "unidentified image file"
