"""Files that are something else, or several things at once.

Owns formats that are refused by name, files that two programs read differently, and no pictures at all.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

from PIL import features

from trials.pictures_case import Case, Expected, drawn, saved
from trials.pictures_png import chunk, chunks, joined

_MARKUP = b"<html><body onload=alert(1)><script src=//example.org/x.js></script></body></html>"


def foreign_cases() -> Iterator[Case]:
    """All of them, in a fixed order."""
    yield from _refused_by_name()
    yield from _polyglots()
    yield from _no_pictures()


def _refused_by_name() -> Iterator[Case]:
    rgb, family = drawn(), "other formats"
    for label in ("GIF", "TIFF", "BMP", "ICO", "PDF", "JPEG 2000"):
        if label != "JPEG 2000" or features.check("jpg_2000"):
            data = saved(rgb, label.replace(" ", ""))
            yield Case(family, label, data, Expected.REFUSED, says=f"{label} is not supported")
    yield Case(family, "animated GIF", saved(rgb, "GIF", save_all=True, append_images=[]), Expected.REFUSED)
    begun = {
        "TIFF": b"MM\x00*\x00\x00\x00\x08\xff\xff",
        "Photoshop": b"8BPS\x00\x01" + bytes(6) + b"\x00\x03\x00\x00\x00\x70\x00\x00\x00\xa0\x00\x08\x00\x03",
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n(/etc/passwd) (r) file\n",
        "JPEG XL": b"\xff\x0a\xfa\x7f\x01\x90\x08\x06\x01\x00",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "video": b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41",
    }
    for label, data in begun.items():
        yield Case(
            family, f"{label}, its beginning", data, Expected.REFUSED, says=f"{label} is not supported"
        )
    bomb = b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + level, b"&%c;" % (97 + level) * 10) for level in range(9)
    )
    yield Case(
        family, "SVG of growing entities", bomb + b"]><svg>&j;</svg>", Expected.REFUSED, says="SVG or XML"
    )
    outside = b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY f SYSTEM "file:///etc/passwd">]><svg>&f;</svg>'
    yield Case(family, "SVG that names a file", outside, Expected.REFUSED, says="SVG or XML")


def _polyglots() -> Iterator[Case]:
    rgb, family = drawn(), "polyglots"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("../../evil.sh", "#!/bin/sh\n")
    jar, jpeg, png_file = archive.getvalue(), saved(rgb, "JPEG", quality=95), saved(rgb, "PNG")
    for name, data, tolerance in (
        ("JPEG and ZIP", jpeg + jar, 4.0),
        ("PNG and ZIP", png_file + jar, 0.6),
        ("PNG and HTML behind it", png_file + _MARKUP, 0.6),
        ("JPEG and HTML behind it", jpeg + _MARKUP, 4.0),
        ("JPEG and PHP behind it", jpeg + b"<?php phpinfo(); ?>", 4.0),
        ("two PNGs", png_file + saved(rgb[::-1].copy(), "PNG"), 0.6),
        ("JPEG and PNG", jpeg + png_file, 4.0),
        ("PNG and JPEG", png_file + jpeg, 0.6),
    ):
        yield Case(family, name, data, Expected.ACCEPTED, rgb, tolerance)
    parts = list(chunks(png_file))
    with_markup = [parts[0], (b"tEXt", b"Comment\0" + _MARKUP), *parts[1:]]
    yield Case(family, "PNG with HTML inside", joined(with_markup), Expected.ACCEPTED, rgb)
    private = [parts[0], (b"zzZz", jar), *parts[1:]]
    yield Case(family, "PNG with a ZIP inside", joined(private), Expected.ACCEPTED, rgb)
    critical = [parts[0], (b"ZZZZ", jar), *parts[1:]]
    yield Case(family, "PNG with an unknown critical chunk", joined(critical))
    yield Case(family, "GIF and JAR", saved(rgb, "GIF") + jar, Expected.REFUSED, says="GIF is not supported")
    yield Case(family, "HTML, then PNG", _MARKUP + png_file, Expected.REFUSED)
    yield Case(family, "PDF, then JPEG", b"%PDF-1.4\n" + jpeg, Expected.REFUSED, says="PDF is not supported")
    yield Case(family, "PNG's signature, then JPEG", png_file[:8] + jpeg, Expected.REFUSED)
    yield Case(family, "a HEIC's name on a PNG", b"\0\0\0\x18ftypheic" + png_file, Expected.REFUSED)


def _no_pictures() -> Iterator[Case]:
    family = "no picture"
    beginnings = {
        "JPEG": b"\xff\xd8\xff\xe0\x00\x10JFIF\0",
        "PNG": b"\x89PNG\r\n\x1a\n",
        "WebP": b"RIFF\xff\xff\xff\xffWEBPVP8 ",
        "WebP extended": b"RIFF\x1a\0\0\0WEBPVP8X",
        "AVIF": b"\0\0\0\x1cftypavif",
        "HEIC": b"\0\0\0\x1cftypheic",
    }
    for name, start in beginnings.items():
        yield Case(family, f"{name}, the beginning", start, Expected.REFUSED)
        yield Case(family, f"{name}, then noise", start + bytes(range(256)) * 40, Expected.REFUSED)
        yield Case(family, f"{name}, then zeros", start + bytes(100_000), Expected.REFUSED)
    for name, data in {
        "nothing": b"",
        "one byte": b"\0",
        "text": b"Hello",
        "a null picture": b"\0" * 1000,
        "a script": b"#!/bin/sh\nrm -rf /\n",
        "a shared library": b"\x7fELF\x02\x01\x01" + bytes(500),
        "a ZIP": b"PK\x03\x04" + bytes(500),
        "JSON": b'{"file": "/etc/passwd"}',
    }.items():
        yield Case(family, name, data, Expected.REFUSED)
    yield Case(
        family, "a PNG without its end", joined([(b"IHDR", bytes(13)), (b"IEND", b"")]), Expected.REFUSED
    )
    yield Case(
        family, "a chunk of 2 GB", b"\x89PNG\r\n\x1a\n\x7f\xff\xff\xffIHDR" + chunk(b"IEND"), Expected.REFUSED
    )
