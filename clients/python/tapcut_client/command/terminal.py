"""A picture drawn in the terminal: two pixels a character, by half blocks in 24-bit colour."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw
from rich.style import Style
from rich.text import Text

from tapcut_client.models import Polygon

TINT = (255, 64, 160)


def tinted(picture: Image.Image, polygons: Sequence[Polygon]) -> Image.Image:
    """RGB: the picture with what the outlines enclose tinted (even-odd: holes stay free), and outlined."""
    mask = Image.new("1", picture.size)
    for polygon in polygons:
        inside = Image.new("1", picture.size)
        if len(polygon) > 2:
            ImageDraw.Draw(inside).polygon(list(polygon), fill=1)
        mask = _exclusive(mask, inside)
    base = picture.convert("RGB")
    tint = Image.blend(base, Image.new("RGB", picture.size, TINT), 0.5)
    base.paste(tint, mask=mask)
    width = max(1, max(picture.size) // 300)
    for polygon in polygons:
        if len(polygon) > 2:
            ImageDraw.Draw(base).line([*polygon, polygon[0]], fill=TINT, width=width)
    return base


def _exclusive(one: Image.Image, other: Image.Image) -> Image.Image:
    from PIL import ImageChops

    return ImageChops.logical_xor(one, other)


def drawn(picture: Image.Image, columns: int, rows: int) -> Text:
    """The picture scaled into `columns` x `rows` characters."""
    scale = min(columns / picture.width, 2 * rows / picture.height)
    width, height = max(1, int(picture.width * scale)), max(2, int(picture.height * scale) // 2 * 2)
    pixels = picture.convert("RGB").resize((width, height), Image.Resampling.BOX)
    text = Text()
    for y in range(0, height, 2):
        for x in range(width):
            above, below = pixels.getpixel((x, y)), pixels.getpixel((x, y + 1))
            text.append("\u2580", Style(color=_colour(above), bgcolor=_colour(below)))
        text.append("\n")
    return text


def _colour(pixel: object) -> str:
    assert isinstance(pixel, tuple)
    return "#{:02x}{:02x}{:02x}".format(*pixel)
