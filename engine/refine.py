"""From the decoder's logits to one object: its mask, its soft edge and the hole it leaves.

Owns the order of the steps, the choice among candidates and the warnings. The steps are in
`engine.logit_window`, `engine.clean_up`, `engine.matting` and `engine.hole`. All of it happens
inside the object's own box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.clean_up import Seed, clean_mask
from engine.colour_cut import SURE_LOGIT, WORKING_SIDE_PX, cut_by_colour
from engine.errors import MaskTooSmallError
from engine.hole import hole_weights, ring_px
from engine.logit_window import cell_px, positive_box, upscale_window
from engine.matting import matte
from engine.regions import reframed, tight_box
from engine.types import (
    DecodedObject,
    MaskRegion,
    ObjectPrompt,
    PixelBox,
    RefinedObject,
    RefineOptions,
    RgbImage,
    WeightRegion,
)

LEAST_AREA_PX = 50
# Coarser logits than this cannot know the outline: the picture's edges then move the mask itself.
# At 6 the released network (cells of 4 px at 1024) keeps its masks exactly as it made them.
_COARSE_CELL_PX = 6.0
_BACKGROUND_SHARE = 0.25
_LEAST_ISLAND_PX = 64
_LEAST_ISLAND_CELLS = 8.0  # squares of the edge's uncertainty
_LEAST_ISLAND_SHARE = 0.002
_GIVEN_MASK_EDGE_PX = 2
_FAINT_ALPHA = 32

_LOW_SCORE = 0.6
_LOW_STABILITY = 0.7
_LARGE_SHARE = 0.6
_THIN_PX = 4.0


@dataclass(frozen=True, slots=True)
class _Outline:
    """A mask with the alpha of its edge, both in `window`."""

    window: PixelBox
    mask: NDArray[np.bool_]
    alpha: NDArray[np.uint8]


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
    for place, candidate in enumerate(decoded.candidates):
        logits = candidate.logits
        cell = cell_px(image.width, image.height, logits.shape[0])
        outline = _outline_of_logits(logits, prompt, image, image_size, cell)
        if outline is None:
            continue
        score, stability = min(max(candidate.score, 0.0), 1.0), candidate.stability
        notes = [f"the first {place} masks were too small, this is candidate {place + 1}"] if place else []
        if place == 1:
            notes = ["the first mask was too small, this is candidate 2"]
        if score < _LOW_SCORE:
            notes.append(f"the network is unsure of this mask (score {score:.2f})")
        if stability < _LOW_STABILITY:
            notes.append(f"the outline is uncertain (stability {stability:.2f})")
        return _object(outline, prompt, image, options, 0.5 * cell, score, stability, notes)
    raise MaskTooSmallError(f"Segmentation failed for object {object_index}: mask too small")


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
    if np.count_nonzero(mask.pixels) < LEAST_AREA_PX:
        raise MaskTooSmallError(f"Segmentation failed for object {object_index}: mask too small")
    window = mask.box.grow(4 * _GIVEN_MASK_EDGE_PX).clip(image.width, image.height)
    inside = reframed(mask.pixels, mask.box, window)
    alpha = matte(image.pixels[window.slices], inside, _GIVEN_MASK_EDGE_PX)
    return _object(_Outline(window, inside, alpha), prompt, image, options, 0.0, 1.0, 1.0, [])


def _outline_of_logits(
    logits: NDArray[np.float32], prompt: ObjectPrompt, image: RgbImage, image_size: int, cell: float
) -> _Outline | None:
    """Mask and alpha of one candidate, or None if the mask is too small to be an object."""
    is_coarse = cell > _COARSE_CELL_PX
    box = positive_box(logits + SURE_LOGIT if is_coarse else logits, image.width, image.height, image_size)
    if box is None:
        return None
    if is_coarse:  # the colours of the background have to be seen, too
        margin = round(_BACKGROUND_SHARE * max(box.width, box.height))
        box = box.grow(margin).clip(image.width, image.height)
    upscaled = upscale_window(logits, image.width, image.height, image_size, box)
    if np.count_nonzero(upscaled > 0) < LEAST_AREA_PX:
        return None
    mask, edge_px = upscaled > 0, cell / 2
    if is_coarse:
        wanted, unwanted = _seeds(prompt, box, wanted=True), _seeds(prompt, box, wanted=False)
        by_colour = cut_by_colour(image.pixels[box.slices], upscaled, wanted, unwanted)
        if np.count_nonzero(by_colour) >= LEAST_AREA_PX:
            mask, edge_px = by_colour, 2 * max(1.0, max(box.width, box.height) / WORKING_SIDE_PX)
    small = max(_LEAST_ISLAND_PX, _LEAST_ISLAND_CELLS * edge_px * edge_px)
    small = round(max(small, _LEAST_ISLAND_SHARE * np.count_nonzero(mask)))
    mask = _cleaned(mask, box, small, prompt)
    radius = max(1, round(edge_px))
    tight = tight_box(mask, box)
    assert tight is not None  # the clean-up keeps at least one island
    window = tight.grow(2 * radius + 2).clip(image.width, image.height)
    mask = reframed(mask, box, window)
    alpha = matte(image.pixels[window.slices], mask, radius)
    if is_coarse:
        mask = _cleaned(alpha >= 128, window, small, prompt)
    if np.count_nonzero(mask) < LEAST_AREA_PX:
        return None
    return _Outline(window, mask, alpha)


def _object(
    outline: _Outline,
    prompt: ObjectPrompt,
    image: RgbImage,
    options: RefineOptions,
    edge_error_px: float,
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
        dilate_px = ring_px(max(bbox.width, bbox.height), edge_error_px)
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


def _shape_warnings(mask: MaskRegion, area: int, prompt: ObjectPrompt, image: RgbImage) -> list[str]:
    box = mask.box
    warnings = []
    if box.x0 == 0 or box.y0 == 0 or box.x1 == image.width or box.y1 == image.height:
        warnings.append("the object touches the border of the picture")
    share = area / (image.width * image.height)
    if share > _LARGE_SHARE:
        warnings.append(f"the mask covers {share:.0%} of the picture: what is behind it can only be guessed")
    for x, y in _seeds(prompt, box, wanted=True):
        if not (0 <= x < box.width and 0 <= y < box.height and mask.pixels[y, x]):
            warnings.append(f"the mask does not contain the point ({x + box.x0}, {y + box.y0})")
    inner = mask.pixels[1:-1, 1:-1] & mask.pixels[:-2, 1:-1] & mask.pixels[2:, 1:-1]
    inner &= mask.pixels[1:-1, :-2] & mask.pixels[1:-1, 2:]
    outline_px = area - int(np.count_nonzero(inner))
    if 2 * area < _THIN_PX * outline_px:
        warnings.append("the object is thin: parts of it may be missing")
    return warnings


def _cleaned(
    mask: NDArray[np.bool_], window: PixelBox, small_area_px: int, prompt: ObjectPrompt
) -> NDArray[np.bool_]:
    return clean_mask(
        mask, small_area_px, _seeds(prompt, window, wanted=True), _seeds(prompt, window, wanted=False)
    )


def _seeds(prompt: ObjectPrompt, window: PixelBox, wanted: bool) -> list[Seed]:
    """The taps on the object (or beside it) as pixels counted from the window's corner."""
    return [
        (int(x) - window.x0, int(y) - window.y0)
        for (x, y), label in zip(prompt.points, prompt.labels, strict=True)
        if bool(label) == wanted
    ]
