"""How good removals are, on photographs whose masks and, where it is known, true pictures are given.

Owns the scores and OpenCV's two fills as rivals. Everything is judged inside the object's mask alone; the
hole that is filled is larger, the same for all: the one that the service makes of that mask.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.lama.fill import Inpainter
from engine.lama.inpaint import composite, plan_removal
from engine.photo import read_photo
from engine.refine import refine_given_mask
from engine.regions import reframed, tight_box
from engine.types import MaskRegion, ObjectPrompt, PixelBox, RefinedObject, RefineOptions, RgbImage

MOST_PSNR_DB = 50.0  # else one black sky outweighs all others
_FILL_RADIUS_PX = 5
_SSIM_SIGMA_PX = 1.5

Picture = NDArray[np.uint8]
Filler = Callable[[RgbImage, RefinedObject], Picture]


@dataclass(frozen=True, slots=True)
class KnownRemoval:
    """One object to remove; `truth` is the picture without it, where that is known."""

    name: str
    kind: str
    image: RgbImage
    item: RefinedObject
    mask: NDArray[np.bool_]
    truth: Picture | None


@dataclass(frozen=True, slots=True)
class RemovalScore:
    """Inside the mask; the first four are NaN where the true picture is not known.

    `energy`, `true_energy`: gradient energy of fill and truth, summed over the mask.
    `ghost`: correlation of the fill's gradients with the removed object's, 0 = nothing of it is left.
    `change`: mean difference to the removed object, grey levels of 255.
    """

    psnr_db: float
    ssim: float
    energy: float
    true_energy: float
    ghost: float
    change: float


def known_removals(folder: Path, max_side: int) -> Iterator[KnownRemoval]:
    """The items of `folder`/index.json: image, mask (255 = remove), kind, and gt where it is known.

    All scaled down to `max_side` pixels, as the service does with what is uploaded.

    Raises:
        FileNotFoundError: a picture is not there.
    """
    for row in json.loads((folder / "index.json").read_text())["items"]:
        image = _read(folder / row["image"], max_side)
        marked = cv2.imread(str(folder / row["mask"]), cv2.IMREAD_GRAYSCALE)
        if marked is None:
            raise FileNotFoundError(f"cannot read {folder / row['mask']}")
        # Exact where nothing is scaled: an area of one pixel.
        mask = cv2.resize(marked, (image.width, image.height), interpolation=cv2.INTER_AREA) > 127
        whole = PixelBox(0, 0, image.width, image.height)
        box = tight_box(mask, whole)
        if box is None:
            continue
        region = MaskRegion(box, reframed(mask, whole, box))
        item = refine_given_mask(region, ObjectPrompt((), ()), image, RefineOptions(), 0)
        truth = _read(folder / row["gt"], max_side).pixels if row.get("gt") else None
        yield KnownRemoval(row["name"], row.get("kind", "all"), image, item, mask, truth)


def service_fill(inpainter: Inpainter, sizes: tuple[int, ...], seconds: list[float]) -> Filler:
    """The way of the service; seconds of each run of the network are appended to `seconds`."""

    def fill(image: RgbImage, item: RefinedObject) -> Picture:
        plan = plan_removal(image, [item], sizes, want_each=False)
        started = time.perf_counter()
        fills = inpainter.fill(plan.tasks)
        seconds.append((time.perf_counter() - started) / len(plan.tasks))
        parts = [(plan.tasks[i], fills[i], hole) for i, hole in zip(plan.full, plan.full_holes, strict=True)]
        return composite(image, parts).pixels

    return fill


def opencv_fill(method: int) -> Filler:
    """`cv2.inpaint` with a method such as `cv2.INPAINT_TELEA`."""

    def fill(image: RgbImage, item: RefinedObject) -> Picture:
        hole = np.zeros((image.height, image.width), np.uint8)
        hole[item.hole.box.slices] = item.hole.pixels > 0
        return np.asarray(cv2.inpaint(image.pixels, hole, _FILL_RADIUS_PX, method), np.uint8)

    return fill


def judged(case: KnownRemoval, answer: Picture) -> RemovalScore:
    """Score one answer."""
    given, got = case.image.pixels.astype(np.float32), answer.astype(np.float32)
    ghost = _gradient_correlation(got, given, case.mask)
    change = float(np.abs(got - given)[case.mask].mean())
    if case.truth is None:
        return RemovalScore(float("nan"), float("nan"), float("nan"), float("nan"), ghost, change)
    truth = case.truth.astype(np.float32)
    error = float(np.square(got - truth)[case.mask].mean()) / 255**2
    psnr = min(-10 * np.log10(max(error, 1e-9)), MOST_PSNR_DB)
    energy = [_gradient_energy(picture, case.mask) for picture in (got, truth)]
    return RemovalScore(float(psnr), _ssim(got, truth, case.mask), energy[0], energy[1], ghost, change)


def _ssim(one: NDArray[np.float32], other: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Structural similarity (Wang et al. 2004) of the grey pictures, mean inside the mask."""

    def smooth(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), _SSIM_SIGMA_PX), np.float32)

    x, y = (picture @ np.array([0.299, 0.587, 0.114], np.float32) for picture in (one, other))
    mean_x, mean_y = smooth(x), smooth(y)
    var_x, var_y = smooth(x * x) - mean_x**2, smooth(y * y) - mean_y**2
    both = smooth(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    likeness /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return float(likeness[mask].mean())


def _gradient_energy(picture: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Squared differences of neighbours, both inside the mask, summed."""
    across, along = _differences(picture, mask)
    return float(np.square(across).sum() + np.square(along).sum())


def _gradient_correlation(
    one: NDArray[np.float32], other: NDArray[np.float32], mask: NDArray[np.bool_]
) -> float:
    pairs = zip(_differences(one, mask), _differences(other, mask), strict=True)
    a, b = (np.concatenate([p.ravel() for p in parts]) for parts in zip(*pairs, strict=True))
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-6))


def _differences(
    picture: NDArray[np.float32], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    right, down = mask[:, 1:] & mask[:, :-1], mask[1:] & mask[:-1]
    return np.diff(picture, axis=1)[right], np.diff(picture, axis=0)[down]


def _read(path: Path, max_side: int) -> RgbImage:
    return read_photo(path.read_bytes(), max_pixels=10**8, max_side=max_side).image
