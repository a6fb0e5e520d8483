"""Pictures and holes that the inpainting network learns from.

Owns the packed cache of photographs and object shapes, and the drawing of random holes. Does not
own what is learned from them. The folder read is one with a `train/manifest.jsonl`, one photograph
with its masks a line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

_SHORT_SIDE, _LONG_SIDE = 240, 320  # of a packed picture; portraits are stored lying on their side
_SHAPE_SIZE = 96  # of a packed object shape, stretched to a square


@dataclass(frozen=True, slots=True)
class PackedPhotos:
    """All training photographs, small, and the outlines of the objects in them; 0.6 GB for 2,657."""

    pictures: NDArray[np.uint8]  # [N, 240, 320, 3] RGB
    shapes: NDArray[np.uint8]  # [M, 96, 96] 0 or 1, each touching all four sides


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step learns from."""

    picture: Tensor  # [B, 3, S, S] float32 0..1 RGB
    hole: Tensor  # [B, 1, S, S] float32 1 = to be filled


def pack_photos(data: Path, cache: Path) -> PackedPhotos:
    """Read the photographs of `data/train` once; later calls read the cache alone.

    The cache is one file of JPEG-compressed pictures, 15 kB each, so that it travels easily to where
    the training runs; `data/train` is not needed beside it.
    """
    file = cache / "photos.npz"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        pictures, shapes = [], []
        for line in tqdm((data / "train/manifest.jsonl").read_text().splitlines(), desc="pack photographs"):
            entry = json.loads(line)
            picture = _packed_picture(read_picture(data / entry["image"]))
            pictures.append(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])
            if entry["kind"] == "binary":
                shapes += _object_shapes(read_mask(data / entry["masks"][0]))
        np.savez(
            file,
            jpegs=np.concatenate(pictures),
            ends=np.cumsum([len(picture) for picture in pictures]),
            shapes=np.packbits(np.stack(shapes), axis=-1),
        )
    with np.load(file) as packed:
        jpegs, shapes = np.split(packed["jpegs"], packed["ends"][:-1]), packed["shapes"]
    unpacked = np.empty((len(jpegs), _SHORT_SIDE, _LONG_SIDE, 3), np.uint8)
    for picture, jpeg in zip(unpacked, tqdm(jpegs, desc="unpack"), strict=True):
        picture[:] = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_UNCHANGED), np.uint8)
    return PackedPhotos(unpacked, np.unpackbits(shapes, axis=-1))


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


def _packed_picture(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if rgb.shape[0] > rgb.shape[1]:
        rgb = rgb.transpose(1, 0, 2)
    scale = max(_SHORT_SIDE / rgb.shape[0], _LONG_SIDE / rgb.shape[1])
    height, width = round(rgb.shape[0] * scale), round(rgb.shape[1] * scale)
    resized = cv2.resize(
        rgb, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    y, x = (height - _SHORT_SIDE) // 2, (width - _LONG_SIDE) // 2
    return np.ascontiguousarray(resized[y : y + _SHORT_SIDE, x : x + _LONG_SIDE], np.uint8)


def _object_shapes(mask: NDArray[np.bool_]) -> list[NDArray[np.uint8]]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if mask.sum() < 200:
        return []
    shape = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)
    square = cv2.resize(shape, (_SHAPE_SIZE, _SHAPE_SIZE), interpolation=cv2.INTER_NEAREST)
    return [np.asarray(square, np.uint8)]


def draw_batch(photos: PackedPhotos, size: int, count: int, rng: np.random.Generator) -> Batch:
    """Random crops of `size` pixels, flipped at random, each with a random hole."""
    pictures = np.stack([_random_crop(photos.pictures, size, rng) for _ in range(count)])
    holes = np.stack([random_hole(photos.shapes, size, rng) for _ in range(count)])
    return Batch(
        torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().float() / 255,
        torch.from_numpy(holes)[:, None].float(),
    )


def _random_crop(pictures: NDArray[np.uint8], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    picture = pictures[rng.integers(len(pictures))]
    # The share of the picture that a crop shows varies, so that the network meets all scales of texture.
    side = int(rng.integers(min(size, _SHORT_SIDE), _SHORT_SIDE + 1))
    y, x = rng.integers(_SHORT_SIDE - side + 1), rng.integers(_LONG_SIDE - side + 1)
    crop = picture[y : y + side, x : x + side]
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    resized = cv2.resize(crop, (size, size), interpolation=interpolation)
    return np.ascontiguousarray(resized[:, :: 1 if rng.random() < 0.5 else -1], np.uint8)


def random_hole(shapes: NDArray[np.uint8], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """[size, size] 0 or 1: a dilated object, a box, or brush strokes; 2 to 40 % of the area."""
    while True:
        hole = np.zeros((size, size), np.uint8)
        kind = rng.random()
        if kind < 0.6:
            # Several objects teach more a step than one: only what is in a hole is learned from.
            for _ in range(int(rng.integers(1, 4))):
                _stamp(hole, shapes[rng.integers(len(shapes))], rng)
        elif kind < 0.75:
            _stamp(hole, np.ones((2, 2), np.uint8), rng)
        else:
            _brush(hole, rng)
        if 0.02 <= hole.mean() <= 0.4:
            return hole


def _stamp(hole: NDArray[np.uint8], shape: NDArray[np.uint8], rng: np.random.Generator) -> None:
    size = len(hole)
    height, width = (int(side) for side in rng.uniform(0.15, 0.65, 2) * size)
    stamp = np.asarray(cv2.resize(shape, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    y = int(rng.integers(-height // 4, size - 3 * height // 4))
    x = int(rng.integers(-width // 4, size - 3 * width // 4))
    y0, x0, y1, x1 = max(y, 0), max(x, 0), min(y + height, size), min(x + width, size)
    hole[y0:y1, x0:x1] |= stamp[y0 - y : y1 - y, x0 - x : x1 - x]
    grow = 2 * int(rng.integers(0, max(size // 40, 1) + 1)) + 1
    cv2.dilate(hole, np.ones((grow, grow), np.uint8), dst=hole)


def _brush(hole: NDArray[np.uint8], rng: np.random.Generator) -> None:
    size = len(hole)
    for _ in range(int(rng.integers(1, 4))):
        at, angle = rng.uniform(0.1, 0.9, 2) * size, rng.uniform(0, 2 * np.pi)
        thickness = int(rng.uniform(0.04, 0.16) * size)
        for _ in range(int(rng.integers(2, 6))):
            angle += rng.uniform(-1.2, 1.2)
            towards = at + rng.uniform(0.08, 0.3) * size * np.array([np.cos(angle), np.sin(angle)])
            cv2.line(hole, _point(at), _point(towards), 1, thickness)
            at = towards


def _point(xy: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(xy[0])), round(float(xy[1]))
