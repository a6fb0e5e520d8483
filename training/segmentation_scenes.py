"""Pictures that no camera took: drawn scenes, and objects of one photograph pasted onto another.

Owns what the project renders itself for the training of segmentation. A drawn scene teaches that an object
is what differs from its surroundings; a pasted one, that it is the same object wherever it stands.
Deterministic for a given random generator.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # [H, W, 3] RGB
Labels = NDArray[np.uint8]  # [H, W], objects 1.., 0 is none of them
_MOST_SHAPES = 7
FIRST_FOREIGN = 128  # labels from here on are of other photographs' objects; 2 of 2,657 have more regions
_MOST_OF_A_TILE = 30  # objects of one tile of a mosaic that keep a label of their own
_SOFT_EDGE_PX = 0.7
_LEAST_TILE_PX = 64


def draw_scene(side: int, rng: np.random.Generator) -> tuple[Picture, Labels]:
    """Textured shapes on a textured ground, `side` x `side`; later shapes cover earlier ones."""
    canvas = _texture(side, rng)
    labels = np.zeros((side, side), np.uint8)
    for number in range(1, int(rng.integers(2, _MOST_SHAPES + 1)) + 1):
        mask = _shape(side, rng)
        soft = _soft(mask)[..., None]
        if rng.random() < 0.4:
            canvas = canvas * (1 - 0.5 * _shadow(mask, rng)[..., None])
        canvas = canvas * (1 - soft) + _texture(side, rng) * soft
        labels[mask > 0] = number
    noise = rng.normal(0, float(rng.uniform(0, 8)), canvas.shape)
    return np.clip(canvas + noise, 0, 255).astype(np.uint8), labels


def paste(
    image: Picture, labels: Labels, source: Picture, mask: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Picture, Labels]:
    """`source`'s object `mask` somewhere on `image`, mirrored, scaled and lit anew, under a label of its own.

    It may reach over the border. Returns the arguments unchanged where the object is too thin to see.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return image, labels
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    pixels, shape = source[box], mask[box].astype(np.uint8)
    if rng.random() < 0.5:
        pixels, shape = pixels[:, ::-1], shape[:, ::-1]
    height, width = labels.shape
    scale = float(np.exp(rng.uniform(np.log(0.2), np.log(0.75)))) * max(height, width) / max(shape.shape)
    size = round(shape.shape[1] * scale), round(shape.shape[0] * scale)
    if min(size) < 8:
        return image, labels
    pixels, shape = _resize(pixels, size), _resize(shape, size)
    x = int(rng.integers(-size[0] // 3, width - 2 * size[0] // 3 + 1))
    y = int(rng.integers(-size[1] // 3, height - 2 * size[1] // 3 + 1))
    there = slice(max(y, 0), min(y + size[1], height)), slice(max(x, 0), min(x + size[0], width))
    here = slice(there[0].start - y, there[0].stop - y), slice(there[1].start - x, there[1].stop - x)
    if there[0].stop <= there[0].start or there[1].stop <= there[1].start:
        return image, labels
    image, labels = image.copy(), labels.copy()
    soft = _soft(shape)[here][..., None]
    lit = pixels[here].astype(np.float32) * np.float32(np.exp(rng.uniform(-0.25, 0.25)))
    image[there] = np.clip(image[there] * (1 - soft) + lit * soft, 0, 255).astype(np.uint8)
    labels[there][shape[here] > 0] = max(int(labels.max()) + 1, FIRST_FOREIGN)
    return image, labels


def mosaic(
    image: Picture, labels: Labels, others: Sequence[tuple[Picture, Labels]], rng: np.random.Generator
) -> tuple[Picture, Labels]:
    """`image` and three others as the tiles of one picture: four times as much to see, of half the size.

    Labels of the others' objects begin at `FIRST_FOREIGN`. Returns the first two arguments unchanged where
    the picture is too small for it.
    """
    height, width = labels.shape[0] // 2, labels.shape[1] // 2
    if min(height, width) < _LEAST_TILE_PX:
        return image, labels
    canvas, marks = (
        np.empty((2 * height, 2 * width, 3), np.uint8),
        np.empty((2 * height, 2 * width), np.uint8),
    )
    corners = [(top, left) for top in (0, height) for left in (0, width)]
    places = rng.permutation(len(corners))
    for number, (picture, objects) in enumerate([(image, labels), *others]):
        top, left = corners[places[number]]
        there = slice(top, top + height), slice(left, left + width)
        canvas[there] = _resize(picture, (width, height))
        small = cv2.resize(objects, (width, height), interpolation=cv2.INTER_NEAREST)
        base = FIRST_FOREIGN + _MOST_OF_A_TILE * (number - 1)
        marks[there] = small if number == 0 else np.where(small, base + np.minimum(small, _MOST_OF_A_TILE), 0)
    return canvas, marks


def _resize(array: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    resized = cv2.resize(np.ascontiguousarray(array), size, interpolation=cv2.INTER_AREA)
    return resized.astype(np.uint8, copy=False)


def _soft(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mask 0..1 with an edge as a lens makes it."""
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _SOFT_EDGE_PX)
    return np.asarray(blurred, np.float32)


def _shadow(mask: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    side = mask.shape[0]
    moved = np.roll(mask, rng.integers(-side // 20, side // 20 + 1, 2), axis=(0, 1)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(moved, (0, 0), side / 40), np.float32)


def _texture(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Colours [side, side, 3] 0..255: a gradient, noise of several scales, sometimes stripes."""
    first, second = rng.uniform(20, 235, (2, 3))
    grid = np.mgrid[:side, :side].astype(np.float32) / side
    angle = rng.uniform(0, 2 * np.pi)
    along = grid[0] * np.sin(angle) + grid[1] * np.cos(angle)
    blend = along * rng.uniform(-1, 1) + rng.uniform(0, 1)
    for octave in (4, 12, 32):
        coarse = rng.normal(0, 1, (octave, octave)).astype(np.float32)
        noise = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        blend = blend + noise * rng.uniform(0, 0.35) * rng.integers(0, 2)
    if rng.random() < 0.3:
        blend = blend + 0.4 * np.sign(np.sin(along * rng.uniform(20, 90))) * rng.uniform(0.3, 1)
    colour = first + (second - first) * np.clip(blend, 0, 1)[..., None]
    return np.asarray(colour, np.float32)


def _shape(side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One blob, polygon, bar or ring: 1 inside."""
    centre = rng.uniform(0.1, 0.9, 2) * side
    radius = float(np.exp(rng.uniform(np.log(0.06), np.log(0.35)))) * side
    mask = np.zeros((side, side), np.uint8)
    kind = int(rng.integers(4))
    if kind == 2:  # a bar, perhaps bent
        points = centre + rng.uniform(-1.5, 1.5, (int(rng.integers(2, 5)), 2)) * radius
        thick = max(3, round(radius * rng.uniform(0.1, 0.4)))
        cv2.polylines(mask, [points.round().astype(np.int32)], False, 1, thick)
        return mask
    corners = int(rng.integers(3, 9)) if kind == 1 else 48
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, np.pi)
    reach = np.ones(corners)
    if kind == 1:
        reach = rng.uniform(0.5, 1.2, corners)
    else:
        for wave in (2, 3, 5):
            reach += rng.uniform(0, 0.25) * np.sin(wave * angles + rng.uniform(0, 2 * np.pi))
    stretch = np.exp(rng.uniform(-0.6, 0.6))
    outline = centre + radius * reach[:, None] * np.stack(
        [np.cos(angles) * stretch, np.sin(angles) / stretch], axis=1
    )
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1)
    if kind == 3:  # a ring: what is seen through it is not the object
        inner = centre + (outline - centre) * rng.uniform(0.4, 0.75)
        cv2.fillPoly(mask, [inner.round().astype(np.int32)], 0)
    return mask
