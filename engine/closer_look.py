"""A second look at an object, from nearer: for small networks, which see too little of it in a whole picture.

Owns which part of the picture is encoded once more, what picture and prompt are there, and whether the
second answer is used. Source of the idea: the zoom-in of interactive segmentation (Sofiiuk et al., "f-BRS",
CVPR 2020). Figures: docs/pixels.md.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from engine.mobile_sam.segment import PictureEncoder, PromptDecoder
from engine.outline import box_of_logits, quick_mask
from engine.types import DecodedObject, ObjectPrompt, PixelBox, RgbImage

LEAST_SIDE_PX = 48
_MOST_SHARE = 0.9  # of the picture's longer side: a part this large would show the network nothing new


def part_to_look_at(
    first: DecodedObject, prompt: ObjectPrompt, image: RgbImage, image_size: int, times: float
) -> PixelBox | None:
    """Where to look again: around the object as found, and all that the user pointed at.

    Args:
        first: What the decoder found in the whole picture.
        prompt: In pixels of the picture.
        image: The picture.
        image_size: Side of the network's padded frame, pixels.
        times: Side of the part, as a multiple of the object's longer side.

    Returns:
        None if nothing was found, or if it fills most of the picture.
    """
    found = box_of_logits(first.candidates[0].logits, prompt, image, image_size)
    if found is None:
        return None
    side = max(times * max(found.width, found.height), LEAST_SIDE_PX)
    margins = round((side - found.width) / 2), round((side - found.height) / 2)
    part = PixelBox(
        found.x0 - margins[0], found.y0 - margins[1], found.x1 + margins[0], found.y1 + margins[1]
    )
    for x, y in prompt.points:
        part = part.union(PixelBox(math.floor(x), math.floor(y), math.floor(x) + 1, math.floor(y) + 1))
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        part = part.union(PixelBox(math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)))
    part = part.clip(image.width, image.height)
    longer = max(image.width, image.height)
    return part if max(part.width, part.height) <= _MOST_SHARE * longer else None


def picture_in(part: PixelBox, image: RgbImage) -> RgbImage:
    """A part of a picture as a picture of its own."""
    return RgbImage(np.ascontiguousarray(image.pixels[part.slices]))


def prompt_in(part: PixelBox, prompt: ObjectPrompt) -> ObjectPrompt:
    """The same prompt in pixels of the part."""
    points = tuple((x - part.x0, y - part.y0) for x, y in prompt.points)
    if prompt.box is None:
        return replace(prompt, points=points)
    x0, y0, x1, y1 = prompt.box
    return replace(prompt, points=points, box=(x0 - part.x0, y0 - part.y0, x1 - part.x0, y1 - part.y0))


def look_closer(
    encoder: PictureEncoder,
    decoder: PromptDecoder,
    first: DecodedObject,
    prompt: ObjectPrompt,
    image: RgbImage,
    image_size: int,
    times: float,
) -> DecodedObject:
    """All of it in one process: for `first`, what the service uses. Arguments as of `part_to_look_at`."""
    part = part_to_look_at(first, prompt, image, image_size, times)
    if part is None:
        return first
    (embedding,) = encoder.encode([picture_in(part, image)])
    ((second,),) = decoder.decode([(embedding, [prompt_in(part, prompt)])])
    return seen_closer(first, second, part, prompt, image_size)


def seen_closer(
    first: DecodedObject, second: DecodedObject, part: PixelBox, prompt: ObjectPrompt, image_size: int
) -> DecodedObject:
    """The second look's answer, of `part`; the first's where the second shows no object."""
    logits, moved = second.candidates[0].logits, prompt_in(part, prompt)
    if quick_mask(logits, moved, part.width, part.height, image_size) is None:
        return first
    return replace(second, seen=part)
