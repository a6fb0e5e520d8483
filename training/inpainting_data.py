"""Pictures and holes that the inpainting network learns from.

Owns the reading of photographs and object shapes, which of them are held out, and the drawing of crops with
holes as the service asks for them. Does not own what is learned from them. The folder read is one with a
`train/manifest.jsonl`, one photograph with its masks a line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

_HELD_OUT_EVERY = 12  # photographs; none of their pixels is learned from
_SHAPE_PX = 96  # of an object's shape, stretched to a square
_LEAST_SHAPE_PX = 200  # of an object whose shape is used, pixels of area
_LEAST_CROP = 0.6  # of a photograph's shorter side
_HOLE_SIDES = (0.25, 0.67)  # of the crop: the service leaves a quarter of the hole's side around it, or more
_HOLE_AREAS = (0.02, 0.45)  # of the crop
_OFF_CENTRE = 0.12  # of the crop
_AT_EDGE = 0.15  # share of holes that touch an edge of the crop, as at the edge of a picture
_MOST_OF_OBJECT = 0.3  # of a hole: an object is taken out whole, and half of another is seldom behind it
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph and, where it shows a single object, that object's mask."""

    picture: Path
    mask: Path | None


@dataclass(frozen=True, slots=True)
class Photos:
    """Photographs to draw from, and outlines of objects that holes may have."""

    photos: tuple[Photo, ...]
    shapes: NDArray[np.uint8]  # [M, 96, 96] 0 or 1, each touching all four sides

    def learned(self) -> Photos:
        """Those to learn from."""
        chosen = tuple(photo for i, photo in enumerate(self.photos) if i % _HELD_OUT_EVERY)
        return Photos(chosen, self.shapes)

    def held_out(self) -> Photos:
        """The others, to measure on."""
        return Photos(self.photos[::_HELD_OUT_EVERY], self.shapes)


def find_photos(data: Path) -> Photos:
    """All photographs of `data/train`, and the shapes of the objects in them."""
    photos, shapes = [], []
    for line in (data / "train/manifest.jsonl").read_text().splitlines():
        entry = json.loads(line)
        mask = data / entry["masks"][0] if entry["kind"] == "binary" else None
        photos.append(Photo(data / entry["image"], mask))
        if mask:
            shapes += _object_shapes(read_mask(mask))
    return Photos(tuple(photos), np.stack(shapes))


def read_picture(file: Path) -> NDArray[np.uint8]:
    """[H, W, 3] uint8 RGB.

    Raises:
        FileNotFoundError: there is no picture that OpenCV can read.
    """
    bgr = cv2.imread(str(file))
    if bgr is None:
        raise FileNotFoundError(f"no readable picture at {file}")
    return np.ascontiguousarray(bgr[:, :, ::-1], np.uint8)


def read_mask(file: Path) -> NDArray[np.bool_]:
    """[H, W] true where the mask file says 255: the object, and not 128 = unknown.

    Raises:
        FileNotFoundError: there is no picture that OpenCV can read.
    """
    mask = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise FileNotFoundError(f"no readable mask at {file}")
    return np.asarray(mask > 191)


def _object_shapes(mask: NDArray[np.bool_]) -> list[NDArray[np.uint8]]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if mask.sum() < _LEAST_SHAPE_PX:
        return []
    shape = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)
    square = cv2.resize(shape, (_SHAPE_PX, _SHAPE_PX), interpolation=cv2.INTER_NEAREST)
    return [np.asarray(square, np.uint8)]


def draw_crop(
    photos: Photos, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A random crop of a random photograph, [size, size, 3] RGB, and a hole, [size, size] 0 or 1."""
    photo = photos.photos[rng.integers(len(photos.photos))]
    picture = read_picture(photo.picture)
    height, width = picture.shape[:2]
    short = min(height, width)
    # The share of the picture that a crop shows varies, so that the network meets all scales of texture; but
    # nothing is enlarged that need not be, as enlarged pictures have no detail.
    side = int(rng.integers(min(max(size, round(_LEAST_CROP * short)), short), short + 1))
    y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    crop = cv2.resize(picture[y : y + side, x : x + side], (size, size), interpolation=interpolation)
    hole = random_hole(photos.shapes, size, rng)
    if photo.mask:
        mask = read_mask(photo.mask)[y : y + side, x : x + side].astype(np.uint8)
        mask = np.asarray(cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST), np.uint8)
        for _ in range(_TRIES):
            if (hole & mask).sum() <= _MOST_OF_OBJECT * hole.sum():
                break
            hole = random_hole(photos.shapes, size, rng)
    return np.asarray(crop, np.uint8), hole


def random_hole(shapes: NDArray[np.uint8], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """[size, size] 0 or 1: an object's outline, turned and stretched, about in the middle."""
    while True:
        shape = shapes[rng.integers(len(shapes))]
        shape = np.rot90(shape[:, :: 1 if rng.random() < 0.5 else -1], int(rng.integers(4)))
        longer = rng.uniform(*_HOLE_SIDES) * size
        sides = np.array([longer, longer * rng.uniform(0.4, 1)])[:: 1 if rng.random() < 0.5 else -1]
        height, width = (max(int(side), 2) for side in sides)
        middle = size / 2 + rng.uniform(-_OFF_CENTRE, _OFF_CENTRE, 2) * size
        if rng.random() < _AT_EDGE:
            middle[rng.integers(2)] = rng.choice([0.3, 0.7]) * size
        y, x = int(middle[0] - height / 2), int(middle[1] - width / 2)
        hole = np.zeros((size, size), np.uint8)
        y0, x0, y1, x1 = max(y, 0), max(x, 0), min(y + height, size), min(x + width, size)
        stamp = cv2.resize(np.ascontiguousarray(shape), (width, height), interpolation=cv2.INTER_NEAREST)
        hole[y0:y1, x0:x1] = stamp[y0 - y : y1 - y, x0 - x : x1 - x]
        grow = 2 * int(rng.integers(1, max(size // 48, 1) + 1)) + 1
        hole = np.asarray(cv2.dilate(hole, np.ones((grow, grow), np.uint8)), np.uint8)
        if _HOLE_AREAS[0] <= hole.mean() <= _HOLE_AREAS[1]:
            return hole
