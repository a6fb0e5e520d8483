"""Which prompts make sense on a picture.

Owns the checks that run before a prompt is accepted, with messages a client can act on. Knows no
network: it is cheap to import.
"""

from __future__ import annotations

import math

from engine.errors import PromptError
from engine.types import ObjectPrompt


def validate_prompt(prompt: ObjectPrompt, width: int, height: int) -> None:
    """Check a prompt against its picture.

    Args:
        prompt: taps and box, xy pixels of the picture.
        width: of the picture, pixels.
        height: of the picture, pixels.

    Raises:
        PromptError: neither taps nor box; only negative taps; as many labels as taps are not there; a
            label other than 0 and 1; a tap outside 0 <= x < width, 0 <= y < height; a box that is
            reversed, empty or leaves the picture; anything that is not a finite number.
    """
    if not prompt.points and prompt.box is None:
        raise PromptError("an object needs at least one point or a box")
    if len(prompt.labels) != len(prompt.points):
        raise PromptError(f"{len(prompt.points)} points but {len(prompt.labels)} labels")
    for label in prompt.labels:
        if label not in (0, 1):
            raise PromptError(f"label {label} is neither 1 (the object) nor 0 (not the object)")
    for x, y in prompt.points:
        _validate_point(x, y, width, height)
    if prompt.box is not None:
        _validate_box(prompt.box, width, height)
    elif 1 not in prompt.labels:
        raise PromptError("only negative points: an object needs a positive point or a box")


def _validate_point(x: float, y: float, width: int, height: int) -> None:
    if not (math.isfinite(x) and math.isfinite(y)):
        raise PromptError(f"point ({x}, {y}) is not a pair of finite numbers")
    if not (0 <= x < width and 0 <= y < height):
        raise PromptError(f"point ({x:g}, {y:g}) is outside the picture of {width}x{height} pixels")


def _validate_box(box: tuple[float, float, float, float], width: int, height: int) -> None:
    x0, y0, x1, y1 = box
    shown = f"box ({x0:g}, {y0:g}, {x1:g}, {y1:g})"
    if not all(math.isfinite(value) for value in box):
        raise PromptError(f"{shown} is not four finite numbers")
    if x0 >= x1 or y0 >= y1:
        raise PromptError(f"{shown} is empty or reversed: x0 < x1 and y0 < y1 are needed")
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        raise PromptError(f"{shown} leaves the picture of {width}x{height} pixels")
