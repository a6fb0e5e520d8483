"""Which parts of a picture the inpainting network sees, and its fills put back.

Owns the crop plan (see docs/pixels.md) and the composite. The network is `engine.lama.network`'s,
running it a deployment's. Every crop has one of a few fixed square sizes, so that crops of
different jobs run in one batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.lama.finer_detail import with_finer_detail
from engine.regions import reframed, seen_from, tight_box, tiles
from engine.types import Fill, FillTask, PixelBox, RefinedObject, RemovalPlan, RgbImage, WeightRegion

DEFAULT_SIZES = (256, 512)
DEFAULT_CONTEXT = 0.25
_LEAST_CONTEXT_PX = 48
_TILE_PX = 256


def plan_removal(
    image: RgbImage,
    objects: Sequence[RefinedObject],
    sizes: tuple[int, ...] = DEFAULT_SIZES,
    context: float = DEFAULT_CONTEXT,
    want_each: bool = True,
    want_full: bool = True,
) -> RemovalPlan:
    """Plan the runs of the network that remove each object alone and all of them together.

    A crop is the hole's box with context around it, grown to the smallest fixed square that holds
    it; a larger one is scaled down into the largest square. Removing all reuses an object's own
    run unless another object's hole lies in its crop: then both holes are open in one crop, which
    serves both objects where it fits without scaling, and one crop each otherwise. Holes that
    overlap always share a crop.

    Args:
        image: The picture.
        objects: What to remove, at least one.
        sizes: Sides of the network's squares, pixels, ascending.
        context: Picture around a hole, each side, as a share of the hole box's longer side; at
            least 48 px, and down to half of it where that spares the crop from being scaled.
        want_each: Plan every object alone, the others left in place.
        want_full: Plan all objects together.
    """
    planner = _Planner(image, sizes, context)
    holes = [item.hole for item in objects]
    per_object = tuple(planner.place([hole], [hole]) for hole in holes) if want_each else ()
    full: list[int] = []
    full_holes: list[WeightRegion] = []
    if want_full:
        for group in planner.groups(holes):
            own = [holes[index] for index in group]
            full.append(planner.place(own, planner.open_in_crop(own, holes)))
            full_holes.append(_union(own))
    return RemovalPlan(tuple(planner.tasks), per_object, tuple(full), tuple(full_holes))


def composite(image: RgbImage, parts: Sequence[tuple[FillTask, Fill, WeightRegion]]) -> RgbImage:
    """Put fills into a picture, each by its own weight.

    Pixels whose weight is 0 are those of `image`, byte for byte; where it is 255 they are the
    fill's; in between they are mixed and rounded to nearest.

    Args:
        image: The picture; not written to.
        parts: For each fill the task it answers and the weight, inside the task's crop.
    """
    pixels = image.pixels.copy()
    for task, fill, weight in parts:
        if not weight.pixels.size:
            continue
        filled, target = _fill_at(image, task, fill, weight.box), pixels[weight.box.slices]
        for tile in tiles(weight.box.width, weight.box.height, _TILE_PX):
            share = weight.pixels[tile.slices]
            if share.min() == 255:
                target[tile.slices] = filled[tile.slices]
            elif share.any():
                target[tile.slices] = _mixed(target[tile.slices], filled[tile.slices], share)
    pixels.flags.writeable = False
    return RgbImage(pixels)


@dataclass(frozen=True, slots=True)
class ChangedArea:
    """Where two pictures differ; `box` is None if nowhere."""

    box: PixelBox | None
    pixel_count: int


def changed_area(before: RgbImage, after: RgbImage) -> ChangedArea:
    """Find where two pictures of the same size differ."""
    differs = (before.pixels != after.pixels).any(axis=2)
    whole = PixelBox(0, 0, before.width, before.height)
    return ChangedArea(tight_box(differs, whole), int(np.count_nonzero(differs)))


class _Planner:
    """Collects the tasks of one picture; the same crop with the same holes is planned once."""

    def __init__(self, image: RgbImage, sizes: tuple[int, ...], context: float) -> None:
        self._image = image
        self._sizes = sizes
        self._context = context
        self._places: dict[tuple[PixelBox, tuple[int, ...]], int] = {}
        self.tasks: list[FillTask] = []

    def place(self, own: Sequence[WeightRegion], opened: Sequence[WeightRegion]) -> int:
        """Index of the task that fills `own`, with the holes `opened` in its crop."""
        crop = self._crop(_box_of(own))
        key = (crop, tuple(sorted(id(hole) for hole in opened)))
        if key not in self._places:
            self._places[key] = len(self.tasks)
            self.tasks.append(_task(self._image, crop, opened, self._side(crop)))
        return self._places[key]

    def open_in_crop(self, own: Sequence[WeightRegion], holes: Sequence[WeightRegion]) -> list[WeightRegion]:
        """The holes that have a pixel in the crop around `own`."""
        crop = self._crop(_box_of(own))
        return [hole for hole in holes if hole.box.overlaps(crop)]

    def groups(self, holes: Sequence[WeightRegion]) -> list[list[int]]:
        """Objects that are filled together, each group ascending."""
        groups = [[index] for index in range(len(holes))]
        touching = {
            (one, other)
            for one, other in itertools.combinations(range(len(holes)), 2)
            if _share_a_pixel(holes[one], holes[other])
        }
        while pair := self._first_to_merge(groups, holes, touching):
            first, second = pair
            groups[first] = sorted(groups[first] + groups.pop(second))
        return groups

    def _first_to_merge(
        self,
        groups: Sequence[Sequence[int]],
        holes: Sequence[WeightRegion],
        touching: set[tuple[int, int]],
    ) -> tuple[int, int] | None:
        boxes = [_box_of([holes[index] for index in group]) for group in groups]
        crops = [self._crop(box) for box in boxes]
        for first in range(len(groups)):
            for second in range(first + 1, len(groups)):
                pairs = itertools.product(groups[first], groups[second])
                if any((min(pair), max(pair)) in touching for pair in pairs):
                    return first, second
                sees = crops[first].overlaps(boxes[second]) or crops[second].overlaps(boxes[first])
                if sees and self._fits(boxes[first].union(boxes[second])):
                    return first, second
        return None

    def _fits(self, hole_box: PixelBox) -> bool:
        crop = self._crop(hole_box)
        return max(crop.width, crop.height) <= self._sizes[-1]

    def _side(self, crop: PixelBox) -> int:
        longer = max(crop.width, crop.height)
        return next((side for side in self._sizes if side >= longer), self._sizes[-1])

    def _crop(self, hole_box: PixelBox) -> PixelBox:
        longer = max(hole_box.width, hole_box.height)
        margin = max(_LEAST_CONTEXT_PX, round(self._context * longer))
        # Half the context and no scaling is sharper than all of it slightly scaled.
        spare = (self._sizes[-1] - longer) // 2
        if max(_LEAST_CONTEXT_PX, margin // 2) <= spare < margin:
            margin = spare
        wanted = hole_box.grow(margin).clip(self._image.width, self._image.height)
        # A crop above the largest square becomes square itself: it is scaled by its longer side,
        # and the shorter one may as well show more of the picture.
        side = max(self._side(wanted), wanted.width, wanted.height)
        x0, x1 = _stretched(wanted.x0, wanted.x1, side, self._image.width)
        y0, y1 = _stretched(wanted.y0, wanted.y1, side, self._image.height)
        return PixelBox(x0, y0, x1, y1)


def _stretched(start: int, end: int, length: int, limit: int) -> tuple[int, int]:
    """Grow start..end to `length` on both sides, shifted inward at the picture's edges."""
    length = min(length, limit)
    start = min(max(start - (length - (end - start)) // 2, 0), limit - length)
    return start, start + length


def _share_a_pixel(one: WeightRegion, other: WeightRegion) -> bool:
    if not one.box.overlaps(other.box):
        return False
    shared = one.box.shared_with(other.box)
    first, second = (hole.pixels[seen_from(shared, hole.box).slices] for hole in (one, other))
    return bool(np.logical_and(first, second).any())


def _box_of(holes: Sequence[WeightRegion]) -> PixelBox:
    box = holes[0].box
    for hole in holes[1:]:
        box = box.union(hole.box)
    return box


def _union(holes: Sequence[WeightRegion]) -> WeightRegion:
    """The larger weight of several at every pixel."""
    if len(holes) == 1:
        return holes[0]
    box = _box_of(holes)
    pixels = np.zeros((box.height, box.width), np.uint8)
    for hole in holes:
        part = pixels[seen_from(hole.box, box).slices]
        np.maximum(part, hole.pixels, out=part)
    pixels.flags.writeable = False
    return WeightRegion(box, pixels)


def _task(image: RgbImage, crop: PixelBox, holes: Sequence[WeightRegion], side: int) -> FillTask:
    pixels = image.pixels[crop.slices]
    hole = np.zeros((crop.height, crop.width), np.bool_)
    for opened in holes:
        hole |= reframed(opened.pixels, opened.box, crop) > 0
    scale = min(1.0, side / max(crop.width, crop.height))
    width, height = _shown_size(crop, scale)
    if scale < 1:
        pixels = _resized(pixels, width, height, cv2.INTER_AREA)
        # Any pixel that saw a bit of the hole is of the hole, or the object would tint its rim.
        share = cv2.resize(hole.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        hole = np.asarray(share > 0)
    # The hole is mirrored with the picture: the padding must not show the object either.
    square = cv2.copyMakeBorder(pixels, 0, side - height, 0, side - width, cv2.BORDER_REFLECT_101)
    opened_square = cv2.copyMakeBorder(
        hole.astype(np.uint8), 0, side - height, 0, side - width, cv2.BORDER_REFLECT_101
    )
    return FillTask(crop, scale, square.astype(np.uint8, copy=False), opened_square.astype(np.bool_))


def _mixed(under: NDArray[np.uint8], over: NDArray[np.uint8], share: NDArray[np.uint8]) -> NDArray[np.uint8]:
    wide = share.astype(np.uint16)[..., None]
    total: NDArray[np.uint16] = under * (255 - wide) + over * wide
    # x / 255 to nearest for all x up to 255 * 255, without a division.
    total += 128
    total += total >> 8
    total >>= 8
    return total.astype(np.uint8)


def _shown_size(crop: PixelBox, scale: float) -> tuple[int, int]:
    return max(1, round(crop.width * scale)), max(1, round(crop.height * scale))


def _resized(pixels: NDArray[np.uint8], width: int, height: int, how: int) -> NDArray[np.uint8]:
    return cv2.resize(pixels, (width, height), interpolation=how).astype(np.uint8, copy=False)


def _fill_at(image: RgbImage, task: FillTask, fill: Fill, box: PixelBox) -> NDArray[np.uint8]:
    """The fill at the picture's resolution, inside `box`."""
    inner = seen_from(box, task.crop).slices
    if task.scale == 1:
        return fill.pixels[inner]
    width, height = _shown_size(task.crop, task.scale)
    # Around the hole the true pixels are known: enlarging must not mix in the network's version of them.
    known = np.where(task.hole[..., None], fill.pixels, task.pixels)[:height, :width]
    enlarged = _resized(known, task.crop.width, task.crop.height, cv2.INTER_CUBIC)
    picture = image.pixels[task.crop.slices]
    return with_finer_detail(enlarged, picture, known, task.hole[:height, :width])[inner]
