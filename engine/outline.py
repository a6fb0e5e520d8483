"""Where an object ends: one mask of the decoder, or one the client brought, as mask and alpha.

Owns how far each kind of mask is believed: fine logits as they are, coarser ones up to the
picture's nearby edges, those of small networks only about where the object is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.clean_up import Seed, clean_mask
from engine.colour_cut import SURE_LOGIT, WORKING_SIDE_PX, cut_by_colour
from engine.logit_window import cell_px, positive_box, upscale_window
from engine.matting import matte
from engine.regions import reframed, tight_box
from engine.types import MaskRegion, ObjectPrompt, PixelBox, RgbImage

LEAST_AREA_PX = 50
# Coarser logits than this cannot know the outline to the pixel: the picture's edges then move the
# mask itself. At 6 the released network (cells of 4 px at 1024) keeps its masks as it made them.
_COARSE_CELL_PX = 6.0
# A network with fewer logits a side knows where the object is, but not its outline: the released
# one has 256, the bundled one 64 or fewer.
_FINE_SIDE = 129
_BACKGROUND_SHARE = 0.25
_LEAST_ISLAND_PX = 64
_LEAST_ISLAND_SQUARES = 8.0  # of the edge's uncertainty
_LEAST_ISLAND_SHARE = 0.002
_GIVEN_MASK_EDGE_PX = 2


@dataclass(frozen=True, slots=True)
class Outline:
    """A mask of at least 50 pixels with the alpha of its edge, both in `window` of the picture.

    `edge_px` is how far the edge may be wrong, in pixels.
    """

    window: PixelBox
    mask: NDArray[np.bool_]  # [window.height, window.width]
    alpha: NDArray[np.uint8]  # [window.height, window.width]
    edge_px: float


@dataclass(frozen=True, slots=True)
class _Mask:
    """A cleaned mask without its soft edge; `tight` is the box of what is true in it."""

    window: PixelBox
    pixels: NDArray[np.bool_]  # [window.height, window.width]
    tight: PixelBox
    edge_px: float
    small_px: int  # islands below are dropped
    settled: bool  # the soft edge does not move it


def outline_of_logits(
    logits: NDArray[np.float32], prompt: ObjectPrompt, image: RgbImage, image_size: int
) -> Outline | None:
    """Mask and alpha of one candidate, or None if the mask is too small to be an object.

    Args:
        logits: float32 [L, L] in the padded frame, > 0 is the object.
        prompt: What was tapped survives the clean-up.
        image: The picture.
        image_size: Side of the padded frame, pixels.
    """
    found = _mask_of_logits(logits, prompt, image, image_size)
    return None if found is None else _softened(found, prompt, image)


def mask_of_logits(
    logits: NDArray[np.float32], prompt: ObjectPrompt, image: RgbImage, image_size: int
) -> MaskRegion | None:
    """The mask of `outline_of_logits` alone, in half the time where the soft edge does not move it."""
    found = _mask_of_logits(logits, prompt, image, image_size)
    if found is None:
        return None
    if found.settled:
        mask = reframed(found.pixels, found.window, found.tight)
        return MaskRegion(found.tight, mask) if np.count_nonzero(mask) >= LEAST_AREA_PX else None
    outline = _softened(found, prompt, image)
    if outline is None:
        return None
    tight = tight_box(outline.mask, outline.window)
    assert tight is not None  # it has pixels
    return MaskRegion(tight, reframed(outline.mask, outline.window, tight))


def box_of_logits(
    logits: NDArray[np.float32], prompt: ObjectPrompt, image: RgbImage, image_size: int
) -> PixelBox | None:
    """Where `outline_of_logits` finds the object, without its soft edge: arguments are the same."""
    found = _mask_of_logits(logits, prompt, image, image_size)
    return None if found is None else found.tight


def _softened(found: _Mask, prompt: ObjectPrompt, image: RgbImage) -> Outline | None:
    radius = max(1, round(found.edge_px))
    window = found.tight.grow(2 * radius + 2).clip(image.width, image.height)
    mask = reframed(found.pixels, found.window, window)
    alpha = matte(image.pixels[window.slices], mask, radius)
    if not found.settled:
        mask = _cleaned(alpha >= 128, window, found.small_px, prompt)
    if np.count_nonzero(mask) < LEAST_AREA_PX:
        return None
    return Outline(window, mask, alpha, found.edge_px)


def _mask_of_logits(
    logits: NDArray[np.float32], prompt: ObjectPrompt, image: RgbImage, image_size: int
) -> _Mask | None:
    cell = cell_px(image.width, image.height, logits.shape[0])
    moves_to_edges = cell > _COARSE_CELL_PX
    knows_outline = logits.shape[0] >= _FINE_SIDE
    box = positive_box(
        logits if knows_outline else logits + SURE_LOGIT, image.width, image.height, image_size
    )
    if box is None:
        return None
    if not knows_outline:  # the colours of the background have to be seen, too
        margin = round(_BACKGROUND_SHARE * max(box.width, box.height))
        box = box.grow(margin).clip(image.width, image.height)
    upscaled = upscale_window(logits, image.width, image.height, image_size, box)
    if np.count_nonzero(upscaled > 0) < LEAST_AREA_PX:
        return None
    mask, edge_px = upscaled > 0, cell if moves_to_edges else cell / 2
    if not knows_outline:
        wanted, unwanted = points_in(box, prompt, wanted=True), points_in(box, prompt, wanted=False)
        by_colour = cut_by_colour(image.pixels[box.slices], upscaled, wanted, unwanted)
        if np.count_nonzero(by_colour) >= LEAST_AREA_PX:
            mask, edge_px = by_colour, 2 * max(1.0, max(box.width, box.height) / WORKING_SIDE_PX)
    small = max(_LEAST_ISLAND_PX, _LEAST_ISLAND_SQUARES * edge_px * edge_px)
    small = round(max(small, _LEAST_ISLAND_SHARE * np.count_nonzero(mask)))
    mask = _cleaned(mask, box, small, prompt)
    tight = tight_box(mask, box)
    assert tight is not None  # the clean-up keeps at least one island
    return _Mask(box, mask, tight, edge_px, small, knows_outline and not moves_to_edges)


def quick_mask(
    logits: NDArray[np.float32], prompt: ObjectPrompt, width: int, height: int, image_size: int
) -> MaskRegion | None:
    """The mask at logits > 0, cleaned up and no more: to show beside others, in milliseconds.

    Args:
        logits: float32 [L, L] in the padded frame.
        prompt: What was tapped survives the clean-up.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        image_size: Side of the padded frame, pixels.

    Returns:
        None if it has fewer than 50 pixels.
    """
    box = positive_box(logits, width, height, image_size)
    if box is None:
        return None
    mask = upscale_window(logits, width, height, image_size, box) > 0
    mask = _cleaned(mask, box, _LEAST_ISLAND_PX, prompt)
    tight = tight_box(mask, box)
    if tight is None or np.count_nonzero(mask) < LEAST_AREA_PX:
        return None
    return MaskRegion(tight, reframed(mask, box, tight))


def outline_of_mask(mask: MaskRegion, image: RgbImage) -> Outline | None:
    """A client's own mask as it is, with a soft edge; None if it is too small to be an object."""
    if np.count_nonzero(mask.pixels) < LEAST_AREA_PX:
        return None
    window = mask.box.grow(4 * _GIVEN_MASK_EDGE_PX).clip(image.width, image.height)
    inside = reframed(mask.pixels, mask.box, window)
    alpha = matte(image.pixels[window.slices], inside, _GIVEN_MASK_EDGE_PX)
    if np.count_nonzero(alpha >= 128) < LEAST_AREA_PX:  # thinner than the filter can see: as it is, then
        alpha = inside * np.uint8(255)
    return Outline(window, inside, alpha, _GIVEN_MASK_EDGE_PX)


def points_in(window: PixelBox, prompt: ObjectPrompt, wanted: bool) -> list[Seed]:
    """The taps on the object (or beside it) as pixels counted from the window's corner."""
    return [
        (int(x) - window.x0, int(y) - window.y0)
        for (x, y), label in zip(prompt.points, prompt.labels, strict=True)
        if bool(label) == wanted
    ]


def _cleaned(
    mask: NDArray[np.bool_], window: PixelBox, small_area_px: int, prompt: ObjectPrompt
) -> NDArray[np.bool_]:
    wanted, unwanted = points_in(window, prompt, wanted=True), points_in(window, prompt, wanted=False)
    return clean_mask(mask, small_area_px, wanted, unwanted)
