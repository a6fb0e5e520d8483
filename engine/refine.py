"""From the decoder's answer to one object: its mask, its soft edge and the hole it leaves.

Owns the choice among candidates and what is told of the object. The outline is
`engine.outline`'s, the hole's weights are `engine.hole`'s. All of it happens inside the object's
own box.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.closer_look import picture_in, prompt_in
from engine.errors import MaskTooSmallError
from engine.hole import hole_weights, ring_px
from engine.outline import (
    Outline,
    mask_of_logits,
    outline_of_logits,
    outline_of_mask,
    points_in,
    quick_mask,
)
from engine.regions import in_picture, reframed, tight_box
from engine.types import (
    ChosenMask,
    DecodedObject,
    MaskCandidate,
    MaskRegion,
    ObjectPrompt,
    PixelBox,
    RefinedObject,
    RefineOptions,
    RgbImage,
    WeightRegion,
)

_FAINT_ALPHA = 32
_LOW_SCORE = 0.6
_LOW_STABILITY = 0.7
_LARGE_SHARE = 0.6
_THIN_PX = 4.0

Found = TypeVar("Found")


def refine_object(
    decoded: DecodedObject,
    prompt: ObjectPrompt,
    image: RgbImage,
    image_size: int,
    options: RefineOptions,
    object_index: int,
) -> RefinedObject:
    """Turn the first candidate that is large enough into an object.

    Args:
        decoded: The decoder's masks, the one to use first.
        prompt: What the user said; what was tapped survives the clean-up.
        image: The picture.
        image_size: Side of the network's padded frame, pixels.
        options: What the client set.
        object_index: Names the object in an error.

    Raises:
        MaskTooSmallError: No candidate has 50 pixels.
    """
    place, outline, part = _first_found(decoded, prompt, image, image_size, object_index, outline_of_logits)
    outline = replace(outline, window=in_picture(outline.window, part))
    candidate = decoded.candidates[place]
    notes = _candidate_warnings(place, candidate)
    return _object(outline, prompt, image, options, shown_score(candidate), candidate.stability, notes)


def choose_mask(
    decoded: DecodedObject, prompt: ObjectPrompt, image: RgbImage, image_size: int, object_index: int
) -> ChosenMask:
    """The mask that `refine_object` would use, alone: to be shown at once. Arguments and errors as there."""
    place, mask, part = _first_found(decoded, prompt, image, image_size, object_index, mask_of_logits)
    candidate = decoded.candidates[place]
    mask = MaskRegion(in_picture(mask.box, part), mask.pixels)
    return ChosenMask(mask, shown_score(candidate), candidate.stability)


def _first_found(
    decoded: DecodedObject,
    prompt: ObjectPrompt,
    image: RgbImage,
    image_size: int,
    object_index: int,
    find: Callable[[NDArray[np.float32], ObjectPrompt, RgbImage, int], Found | None],
) -> tuple[int, Found, PixelBox]:
    """The first candidate that is large enough: its place, what `find` finds in it, and in which part."""
    part = _part_seen(decoded.seen, image)
    moved, picture = prompt_in(part, prompt), picture_in(part, image)
    for place, candidate in enumerate(decoded.candidates):
        found = find(candidate.logits, moved, picture, image_size)
        if found is not None:
            return place, found, part
    raise MaskTooSmallError(f"Segmentation failed for object {object_index}: mask too small")


def _part_seen(seen: PixelBox | None, image: RgbImage) -> PixelBox:
    """Which part of the picture the decoder saw: all of it, unless it looked again from nearer."""
    return seen or PixelBox(0, 0, image.width, image.height)


def shown_score(candidate: MaskCandidate) -> float:
    """The predicted IoU as a share, 0..1; the network's own number may lie outside."""
    return min(max(candidate.score, 0.0), 1.0)


def candidate_mask(
    candidate: MaskCandidate,
    seen: PixelBox | None,
    prompt: ObjectPrompt,
    image: RgbImage,
    image_size: int,
) -> MaskRegion | None:
    """A candidate that is not in use, to show beside the one that is: see `engine.outline.quick_mask`."""
    part = _part_seen(seen, image)
    mask = quick_mask(candidate.logits, prompt_in(part, prompt), part.width, part.height, image_size)
    return None if mask is None else MaskRegion(in_picture(mask.box, part), mask.pixels)


def refine_given_mask(
    mask: MaskRegion, prompt: ObjectPrompt, image: RgbImage, options: RefineOptions, object_index: int
) -> RefinedObject:
    """Turn a mask that the client brought into an object; the mask itself stays as it is.

    Args:
        mask: In pixels of the picture.
        prompt: May be empty.
        image: The picture.
        options: What the client set.
        object_index: Names the object in an error.

    Raises:
        MaskTooSmallError: The mask has fewer than 50 pixels.
    """
    outline = outline_of_mask(mask, image)
    if outline is None:
        raise MaskTooSmallError(f"Segmentation failed for object {object_index}: mask too small")
    return _object(outline, prompt, image, options, 1.0, 1.0, [])


def _object(
    outline: Outline,
    prompt: ObjectPrompt,
    image: RgbImage,
    options: RefineOptions,
    score: float,
    stability: float,
    notes: list[str],
) -> RefinedObject:
    window = outline.window
    bbox = tight_box(outline.mask, window)
    assert bbox is not None
    mask = MaskRegion(bbox, reframed(outline.mask, window, bbox))
    alpha_box = tight_box(outline.alpha, window) or bbox
    soft_alpha = WeightRegion(alpha_box, reframed(outline.alpha, window, alpha_box))
    covered = outline.mask | (outline.alpha >= _FAINT_ALPHA)
    covered_box = tight_box(covered, window) or bbox
    dilate_px = options.dilate_px
    if dilate_px is None:
        dilate_px = ring_px(max(bbox.width, bbox.height), outline.edge_px)
    feather_px = options.feather_px if options.feather_px is not None else dilate_px // 2
    hole = hole_weights(
        MaskRegion(covered_box, reframed(covered, window, covered_box)),
        image.width,
        image.height,
        dilate_px,
        feather_px,
    )
    area = int(np.count_nonzero(mask.pixels))
    warnings = (*notes, *_shape_warnings(mask, area, prompt, image))
    for pixels in (mask.pixels, soft_alpha.pixels, hole.pixels):
        pixels.flags.writeable = False
    return RefinedObject(mask, soft_alpha, hole, score, stability, area, bbox, warnings)


def _candidate_warnings(place: int, candidate: MaskCandidate) -> list[str]:
    warnings = []
    if place == 1:
        warnings.append("the first mask was too small, this is candidate 2")
    elif place:
        warnings.append(f"the first {place} masks were too small, this is candidate {place + 1}")
    if candidate.score < _LOW_SCORE:
        warnings.append(f"the network is unsure of this mask (score {candidate.score:.2f})")
    if candidate.stability < _LOW_STABILITY:
        warnings.append(f"the outline is uncertain (stability {candidate.stability:.2f})")
    return warnings


def _shape_warnings(mask: MaskRegion, area: int, prompt: ObjectPrompt, image: RgbImage) -> list[str]:
    box = mask.box
    warnings = []
    if box.x0 == 0 or box.y0 == 0 or box.x1 == image.width or box.y1 == image.height:
        warnings.append("the object touches the border of the picture")
    share = area / (image.width * image.height)
    if share > _LARGE_SHARE:
        warnings.append(f"the mask covers {share:.0%} of the picture: what is behind it can only be guessed")
    for x, y in points_in(box, prompt, wanted=True):
        if not (0 <= x < box.width and 0 <= y < box.height and mask.pixels[y, x]):
            warnings.append(f"the mask does not contain the point ({x + box.x0}, {y + box.y0})")
    inner = mask.pixels[1:-1, 1:-1] & mask.pixels[:-2, 1:-1] & mask.pixels[2:, 1:-1]
    inner &= mask.pixels[1:-1, :-2] & mask.pixels[1:-1, 2:]
    outline_px = area - int(np.count_nonzero(inner))
    if 2 * area < _THIN_PX * outline_px:
        warnings.append("the object is thin: parts of it may be missing")
    return warnings
