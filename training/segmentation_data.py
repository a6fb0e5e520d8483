"""Training examples of segmentation: augmented pictures, objects in them, prompts for them.

Owns what is shown to the network: which object of a photograph, how the picture is changed, and where
a user might tap or draw a box. Deterministic for a given random generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.mobile_sam.point_labels import (
    BACKGROUND,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FILLER,
    FOREGROUND,
    NOT_A_POINT,
)
from engine.mobile_sam.segment import PIXEL_MEAN, PIXEL_STD
from training.segmentation_pack import PackedPhoto
from training.segmentation_scenes import FIRST_FOREIGN, Labels, Picture, draw_scene, mosaic, paste

# How often a photograph of a subset is drawn. Regions of BSDS and garments of CCP teach edges and
# parts; whole objects are what one tap is mostly meant for.
SUBSET_WEIGHT = {"ecssd": 1.0, "bsds500": 0.5, "ccp": 0.6, "pennfudan": 1.2, "human290": 1.2, "feralcat": 0.5}
WHOLE_PERSON_SHARE = 0.6  # of the draws from CCP, whose label maps name garments
# How much the single mask has to answer to one tap on a part of something: it means whole objects, and the
# other masks mean parts. Regions of BSDS are often, garments are always parts.
REGION_WEIGHT, GARMENT_WEIGHT = 0.5, 0.0
CLOSE_SHARE, CLOSE_TIMES, CLOSE_LEAST_PX = 0.25, (1.2, 2.2), 40  # as the closer look sees objects
MIDDLE_SHARE = 0.25  # of the taps hit the object's most interior pixel
DRAWN_SHARE, MOSAIC_SHARE, PASTED_SHARE = 0.06, 0.2, 0.35  # of the pictures
MOST_PASTED = 3  # objects of other photographs on one
PASTED_FROM = ("ecssd", "ccp", "pennfudan", "human290", "feralcat")  # their masks are whole objects
SMALLEST_SHARE, LARGEST_SHARE = 0.002, 0.8  # of the frame, for an object to be asked for
MAX_POINTS = 4
Token = tuple[float, float, int]


@dataclass(frozen=True, slots=True)
class SegmentationBatch:
    """Pictures and `objects` prompts on each; R = B * objects rows, those of a picture together."""

    pixels: Tensor  # float32 [B, 3, S, S], normalised and padded
    points: Tensor  # float32 [R, MAX_POINTS, 2] xy in the frame, +0.5 added
    labels: Tensor  # int64 [R, MAX_POINTS]
    targets: Tensor  # float32 [R, S / 4, S / 4], share of each cell that is object
    ambiguous: Tensor  # bool [R], one tap alone or a box alone
    single_weight: Tensor  # float32 [R], how much the single mask has to be right, 0..1


class SegmentationSampler:
    """An endless supply of batches."""

    def __init__(self, photos: list[PackedPhoto], seed: int | np.random.SeedSequence) -> None:
        self._photos = photos
        self._rng = np.random.default_rng(seed)
        weights = np.array([SUBSET_WEIGHT[photo.subset] for photo in photos])
        self._odds = weights / weights.sum()
        self._with_objects = [photo for photo in photos if photo.subset in PASTED_FROM]

    def batch(self, pictures: int, objects: int, side: int) -> SegmentationBatch:
        """Draw `pictures` pictures at `side` x `side` pixels with `objects` prompts each."""
        pixels: list[NDArray[np.float32]] = []
        points, labels, targets, ambiguous, single_weight = [], [], [], [], []
        quarter = (side // 4, side // 4)
        while len(pixels) < pictures:
            photo = self._photos[int(self._rng.choice(len(self._photos), p=self._odds))]
            picture, masks = self._example(photo, objects, side)
            if not masks:
                continue
            pixels.append(picture)
            for mask, weight in masks:
                tokens = draw_prompt(mask, self._rng)
                row_points, row_labels = _padded(tokens)
                points.append(row_points)
                labels.append(row_labels)
                ambiguous.append(len(tokens) == 2)  # one tap and its padding point, or two corners
                single_weight.append(weight if tokens[-1][2] == NOT_A_POINT and ambiguous[-1] else 1.0)
                targets.append(cv2.resize(mask.astype(np.float32), quarter, interpolation=cv2.INTER_AREA))
        normalised = (np.stack(pixels) - PIXEL_MEAN) / PIXEL_STD
        return SegmentationBatch(
            torch.from_numpy(normalised.transpose(0, 3, 1, 2).astype(np.float32)),
            torch.from_numpy(np.stack(points)),
            torch.from_numpy(np.stack(labels)),
            torch.from_numpy(np.stack(targets)),
            torch.tensor(ambiguous),
            torch.tensor(single_weight),
        )

    def _example(
        self, photo: PackedPhoto, objects: int, side: int
    ) -> tuple[NDArray[np.float32], list[tuple[NDArray[np.bool_], float]]]:
        """A changed picture float32 [S, S, 3] 0..255; masks [S, S] to ask for, with their `single_weight`."""
        rng = self._rng
        of_its_own = 1.0  # the weight of the picture's own objects
        if rng.random() < DRAWN_SHARE:
            image, label_map = draw_scene(side, rng)
        else:
            image, label_map, of_its_own = self._read(photo)
            if self._with_objects and rng.random() < MOSAIC_SHARE:
                image, label_map = mosaic(image, label_map, [self._another() for _ in range(3)], rng)
            elif self._with_objects and rng.random() < PASTED_SHARE:
                for _ in range(int(rng.integers(1, MOST_PASTED + 1))):
                    image, label_map = self._paste_another(image, label_map)
        if rng.random() < CLOSE_SHARE:
            image, label_map = _closer(image, label_map, rng)
        frame, label_map = _place(image, label_map, side, rng)
        found = _objects(label_map)
        if not found:
            return frame, []
        chosen = [found[index] for index in rng.permutation(len(found))[:objects]]
        while len(chosen) < objects:  # few objects: ask for them again, with other prompts
            chosen.append(found[int(rng.integers(len(found)))])
        return frame, [
            (label_map == value, 1.0 if value >= FIRST_FOREIGN else of_its_own) for value in chosen
        ]

    def _read(self, photo: PackedPhoto) -> tuple[Picture, Labels, float]:
        """Picture, objects, and how much the single mask has to answer to one tap on them."""
        rng = self._rng
        weight = REGION_WEIGHT if photo.subset == "bsds500" else 1.0
        label_map = _decode(photo.label_maps[int(rng.integers(len(photo.label_maps)))], cv2.IMREAD_GRAYSCALE)
        if photo.subset == "ccp":
            if rng.random() < WHOLE_PERSON_SHARE:
                label_map = (label_map > 0).astype(np.uint8)
            else:
                weight = GARMENT_WEIGHT
        return _decode(photo.jpeg, cv2.IMREAD_COLOR_RGB), label_map, weight

    def _another(self) -> tuple[Picture, Labels]:
        """A photograph of whole objects."""
        photo = self._with_objects[int(self._rng.integers(len(self._with_objects)))]
        labels = _decode(photo.label_maps[0], cv2.IMREAD_GRAYSCALE)
        if photo.subset == "ccp":
            labels = (labels > 0).astype(np.uint8)
        return _decode(photo.jpeg, cv2.IMREAD_COLOR_RGB), labels

    def _paste_another(self, image: Picture, label_map: Labels) -> tuple[Picture, Labels]:
        """An object of another photograph on this one."""
        source, labels = self._another()
        found = _objects(labels)
        if not found:
            return image, label_map
        mask = labels == found[int(self._rng.integers(len(found)))]
        return paste(image, label_map, source, mask, self._rng)


def draw_prompt(mask: NDArray[np.bool_], rng: np.random.Generator) -> list[Token]:
    """What a user might do to mean `mask` [S, S]: tokens x, y, label, +0.5 already added."""
    kind = rng.random()
    if kind < 0.6:
        return [_tap(mask, FOREGROUND, rng), (0.0, 0.0, NOT_A_POINT)]
    if kind < 0.78:
        return _box(mask, rng)
    if kind < 0.84:
        return [_tap(mask, FOREGROUND, rng), *_box(mask, rng)]
    second = _tap(mask, FOREGROUND, rng) if rng.random() < 0.5 else _outside_tap(mask, rng)
    return [_tap(mask, FOREGROUND, rng), second, (0.0, 0.0, NOT_A_POINT)]


def correction(error: NDArray[np.bool_], label: int) -> Token:
    """The next tap of a user who sees where the mask is wrong: the middle of the largest error.

    `error` [L, L] is true where cells of 4 pixels are wrong in the way that a tap of `label` mends.
    """
    depth = cv2.distanceTransform(np.pad(error, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return 4.0 * float(x) + 2.0, 4.0 * float(y) + 2.0, label


def _decode(blob: bytes, mode: int) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(blob, np.uint8), mode)
    assert image is not None, "the pack is damaged"
    return image.astype(np.uint8, copy=False)


def _place(
    image: NDArray[np.uint8], label_map: NDArray[np.uint8], side: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Zoom, stretch, mirror, shift and recolour into the padded frame, as inference pads it."""
    height, width = label_map.shape
    zoom = side / max(height, width) * float(np.exp(rng.uniform(np.log(0.75), np.log(1.6))))
    stretch = float(np.exp(rng.uniform(-0.16, 0.16)))
    size = max(round(width * zoom * stretch), 8), max(round(height * zoom / stretch), 8)
    smooth = cv2.INTER_AREA if size[0] < width else cv2.INTER_LINEAR
    image = cv2.resize(image, size, interpolation=smooth).astype(np.uint8, copy=False)
    label_map = cv2.resize(label_map, size, interpolation=cv2.INTER_NEAREST).astype(np.uint8, copy=False)
    if rng.random() < 0.5:
        image, label_map = image[:, ::-1], label_map[:, ::-1]
    left, top = (int(rng.integers(max(length - side, 0) + 1)) for length in size)
    image, label_map = (array[top : top + side, left : left + side] for array in (image, label_map))
    frame = np.broadcast_to(PIXEL_MEAN, (side, side, 3)).copy()
    frame[: image.shape[0], : image.shape[1]] = _recolour(image.astype(np.float32), rng)
    labels = np.zeros((side, side), np.uint8)
    labels[: label_map.shape[0], : label_map.shape[1]] = label_map
    return frame, labels


def _recolour(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    if rng.random() < 0.2:
        return image
    if rng.random() < 0.06:
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    gains = np.exp(rng.uniform(-0.3, 0.3) + rng.uniform(-0.1, 0.1, 3)).astype(np.float32)
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * np.float32(rng.uniform(0.5, 1.5))
    image = image * gains + np.float32(rng.uniform(-20, 20))
    if rng.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.2))).astype(np.float32, copy=False)
    return np.clip(image, 0, 255)


def _closer(image: Picture, label_map: Labels, rng: np.random.Generator) -> tuple[Picture, Labels]:
    """The part around one of the objects, which fills most of it; the whole if none is large enough."""
    found = _objects(label_map)
    if not found:
        return image, label_map
    mask = label_map == found[int(rng.integers(len(found)))]
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    longer = max(width, height)
    if longer < CLOSE_LEAST_PX:
        return image, label_map
    part = []
    for first, extent, length in ((top, height, label_map.shape[0]), (left, width, label_map.shape[1])):
        side = longer * rng.uniform(*CLOSE_TIMES)
        middle = first + (extent - 1) / 2 + 0.1 * longer * rng.uniform(-1, 1)
        part.append(slice(max(round(middle - side / 2), 0), min(round(middle + side / 2), length)))
    return image[part[0], part[1]], label_map[part[0], part[1]]


def _objects(label_map: Labels) -> list[int]:
    """Labels of what is worth asking for, of a sensible size in the frame."""
    areas = np.bincount(label_map.ravel(), minlength=2)
    areas[0] = 0
    low, high = SMALLEST_SHARE * label_map.size, LARGEST_SHARE * label_map.size
    return [int(value) for value in np.flatnonzero((areas >= low) & (areas <= high))]


def _tap(mask: NDArray[np.bool_], label: int, rng: np.random.Generator) -> Token:
    """A pixel of `mask`: anywhere, more likely in its interior, or its most interior one."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1].ravel()
    inside = np.flatnonzero(depth)
    if rng.random() < MIDDLE_SHARE:
        place = int(depth.argmax())
        return place % mask.shape[1] + 0.5, place // mask.shape[1] + 0.5, label
    odds = depth[inside].astype(np.float64) ** float(rng.choice([0.0, 1.0, 3.0]))
    place = int(rng.choice(inside, p=odds / odds.sum()))
    return place % mask.shape[1] + 0.5, place // mask.shape[1] + 0.5, label


def _outside_tap(mask: NDArray[np.bool_], rng: np.random.Generator) -> Token:
    """A pixel near the object but not on it."""
    reach = 2 * int(max(mask.shape[0] * 0.06, 2)) + 1
    near = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool) & ~mask
    return _tap(near if near.any() else ~mask, BACKGROUND, rng)


def _box(mask: NDArray[np.bool_], rng: np.random.Generator) -> list[Token]:
    """The object's box, drawn by an unsteady hand."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x0, y0, x1, y1 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    jitter = rng.normal(0, 0.04, 4) * [x1 - x0, y1 - y0, x1 - x0, y1 - y0]
    x0, y0, x1, y1 = np.clip(np.array([x0, y0, x1, y1]) + jitter, 0, mask.shape[0]) + 0.5
    return [(float(x0), float(y0), BOX_TOP_LEFT), (float(x1), float(y1), BOX_BOTTOM_RIGHT)]


def _padded(tokens: list[Token]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    points = np.zeros((MAX_POINTS, 2), np.float32)
    labels = np.full(MAX_POINTS, FILLER, np.int64)
    for index, (x, y, label) in enumerate(tokens):
        points[index] = x, y
        labels[index] = label
    return points, labels
