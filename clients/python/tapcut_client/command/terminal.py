"""A picture drawn in the terminal: two pixels a character, by half blocks in 24-bit colour.

Where there is no colour: `#` inside what is selected, `.` outside.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageChops, ImageDraw
from rich.style import Style
from rich.text import Text

from tapcut_client.models import Polygon

TINTS = ((255, 64, 160), (0, 200, 255), (255, 200, 0), (120, 230, 80), (180, 110, 255))


def mask_of(size: tuple[int, int], polygons: Sequence[Polygon]) -> Image.Image:
    """1-bit: what the outlines of one object enclose (even-odd: holes stay free)."""
    mask = Image.new("1", size)
    for polygon in polygons:
        if len(polygon) > 2:
            inside = Image.new("1", size)
            ImageDraw.Draw(inside).polygon(list(polygon), fill=1)
            mask = ImageChops.logical_xor(mask, inside)
    return mask


def union(masks: Sequence[Image.Image]) -> Image.Image:
    """1-bit: where any of the masks is."""
    found = masks[0]
    for mask in masks[1:]:
        found = ImageChops.logical_or(found, mask)
    return found


def tinted(picture: Image.Image, objects: Sequence[Sequence[Polygon]]) -> Image.Image:
    """RGB: the picture with each object, given by its outlines, tinted in a colour of its own."""
    base = picture.convert("RGB")
    width = max(1, max(picture.size) // 300)
    for number, polygons in enumerate(objects):
        colour = TINTS[number % len(TINTS)]
        tint = Image.blend(base, Image.new("RGB", picture.size, colour), 0.5)
        base.paste(tint, mask=mask_of(picture.size, polygons))
        for polygon in polygons:
            if len(polygon) > 2:
                ImageDraw.Draw(base).line([*polygon, polygon[0]], fill=colour, width=width)
    return base


def drawn(picture: Image.Image, columns: int, rows: int) -> Text:
    """The picture scaled into `columns` x `rows` characters."""
    pixels = _scaled(picture.convert("RGB"), columns, rows)
    text = Text(no_wrap=True)
    for y in range(0, pixels.height, 2):
        for x in range(pixels.width):
            above, below = pixels.getpixel((x, y)), pixels.getpixel((x, y + 1))
            text.append("\u2580", Style(color=_colour(above), bgcolor=_colour(below)))
        text.append("\n")
    return text


def lettered(mask: Image.Image, columns: int, rows: int) -> str:
    """The mask scaled into `columns` x `rows` characters, without colour."""
    pixels = _scaled(mask.convert("L"), columns, rows)
    pixels = pixels.resize((pixels.width, pixels.height // 2), Image.Resampling.BOX)
    inside = pixels.point(lambda value: 255 * (value > 127)).tobytes()
    lines = [inside[start : start + pixels.width] for start in range(0, len(inside), pixels.width)]
    return "\n".join("".join("#" if one else "." for one in line) for line in lines)


def _scaled(picture: Image.Image, columns: int, rows: int) -> Image.Image:
    scale = min(columns / picture.width, 2 * rows / picture.height)
    width, height = max(1, int(picture.width * scale)), max(2, int(picture.height * scale) // 2 * 2)
    return picture.resize((width, height), Image.Resampling.BOX)


def _colour(pixel: object) -> str:
    assert isinstance(pixel, tuple)
    return "#{:02x}{:02x}{:02x}".format(*pixel)
