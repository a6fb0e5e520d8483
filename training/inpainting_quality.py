"""How good a removal is, on photographs that were not trained on.

Owns the figures that training logs and the picture sheets it draws. The folder read is one with
an `index.json` of photographs, masks and the true pictures behind them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.lama.network import LamaNetwork
from training.inpainting_data import read_mask, read_picture
from training.inpainting_examples import Examples

_GROW_PX = 4  # the hole is the object's mask and this much more, as a service would ask for it
_TILE = 220


@dataclass(frozen=True, slots=True)
class Case:
    """One object to remove, and what is behind it."""

    picture: NDArray[np.float32]  # [H, W, 3] RGB 0..1
    truth: NDArray[np.float32]  # [H, W, 3]
    mask: NDArray[np.bool_]  # [H, W] the object, where the answer is judged
    is_real_pair: bool  # else the object is a hole punched into a picture of background


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over all cases of one kind."""

    psnr_db: float  # inside the mask
    gradient_ratio: float  # gradient energy inside the mask, fill to truth; over all cases together
    median_gradient_ratio: float


@dataclass(frozen=True, slots=True)
class Gain:
    """What a network does for crops that it was not trained on, against its own classical fill."""

    db: float  # PSNR inside the hole, mean of the differences
    standard_error_db: float
    energy: float  # gradient energy inside the holes over the truth's, all crops together
    start_energy: float  # that of the classical fill


Filler = Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[np.float32]]


def load_cases(folder: Path) -> list[Case]:
    """All photographs of `folder/index.json` whose true picture is known."""
    cases = []
    for item in json.loads((folder / "index.json").read_text())["items"]:
        if item.get("gt"):
            picture, truth = _read(folder / item["image"]), _read(folder / item["gt"])
            mask = read_mask(folder / item["mask"])
            cases.append(Case(picture, truth, mask, item["kind"] != "hole_synthetic"))
    return cases


def _read(file: Path) -> NDArray[np.float32]:
    return (read_picture(file) / 255).astype(np.float32)


def network_filler(network: LamaNetwork, *, prefill_only: bool = False) -> Filler:
    """A network as a function of picture and hole; the picture is padded to multiples of 8 by mirroring."""
    device = next(network.parameters()).device
    run: Callable[[Tensor, Tensor], Tensor] = network.prefill if prefill_only else network

    def fill(picture: NDArray[np.float32], hole: NDArray[np.bool_]) -> NDArray[np.float32]:
        height, width = hole.shape
        padding = ((0, -height % 8), (0, -width % 8))
        padded = np.pad(picture, (*padding, (0, 0)), mode="reflect")
        padded_hole = np.pad(hole, padding, mode="reflect").astype(np.float32)
        with torch.inference_mode():
            answer = run(
                torch.from_numpy(padded).permute(2, 0, 1)[None].to(device),
                torch.from_numpy(padded_hole)[None, None].to(device),
            )
        return np.asarray(answer[0].permute(1, 2, 0).float().cpu().numpy()[:height, :width])

    return fill


def gain(network: LamaNetwork, examples: Examples) -> Gain:
    """Correct the classical fills of examples and compare with the truth."""
    device = next(network.parameters()).device
    differences, energies = [], []
    for i in range(len(examples)):
        one = examples.batch(np.array([i]))
        with torch.inference_mode():
            fill = network.predict(one.start.to(device), one.hole.to(device)).float().cpu()
        fill = torch.where(one.hole > 0, fill, one.picture)
        hole = one.hole[0, 0].numpy() > 0
        pictures = [x[0].permute(1, 2, 0).numpy() for x in (fill, one.start, one.picture)]
        psnr = [_psnr(picture, pictures[-1], hole) for picture in pictures[:2]]
        differences.append(psnr[0] - psnr[1])
        energies.append([gradient_energy(picture, hole) * hole.sum() for picture in pictures])
    ours, start, truth = np.sum(energies, axis=0)
    error = np.std(differences, ddof=1) / np.sqrt(len(differences))
    return Gain(float(np.mean(differences)), float(error), float(ours / truth), float(start / truth))


def _psnr(picture: NDArray[np.floating], truth: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    """Decibels inside the mask; up to 50, else one black sky outweighs all others."""
    return float(-10 * np.log10(max(np.square(picture - truth)[mask].mean(), 1e-5)))


def mean_correction(network: LamaNetwork, cases: list[Case]) -> float:
    """How much a network changes its own prefill inside the holes: mean over cases, in grey levels of 255."""
    fill, prefill = network_filler(network), network_filler(network, prefill_only=True)
    changes = []
    for case in cases:
        hole = grown(case.mask)
        changes.append(np.abs(fill(case.picture, hole) - prefill(case.picture, hole))[hole].mean())
    return 255 * float(np.mean(changes))


def telea(picture: NDArray[np.float32], hole: NDArray[np.bool_]) -> NDArray[np.float32]:
    """OpenCV's fast marching fill, the yardstick."""
    pixels = np.round(picture * 255).astype(np.uint8)
    return (cv2.inpaint(pixels, hole.astype(np.uint8), 5, cv2.INPAINT_TELEA) / 255).astype(np.float32)


def judge(cases: list[Case], fill: Filler) -> tuple[dict[str, Quality], list[NDArray[np.float32]]]:
    """Quality on `pairs` (real photographs with and without the object) and on `holes`, and all answers."""
    answers = []
    for case in cases:
        hole = grown(case.mask)
        answers.append(np.where(hole[..., None], fill(case.picture, hole), case.picture))
    table = {}
    for name, is_real_pair in (("pairs", True), ("holes", False)):
        chosen = [(c, a) for c, a in zip(cases, answers, strict=True) if c.is_real_pair is is_real_pair]
        psnr = [_psnr(a, c.truth, c.mask) for c, a in chosen]
        energy = np.array([[gradient_energy(p, c.mask) for p in (a, c.truth)] for c, a in chosen])
        ratios = energy[:, 0] / np.maximum(energy[:, 1], 1e-7)
        area = np.array([c.mask.sum() for c, _ in chosen])
        total = float((energy[:, 0] * area).sum() / max((energy[:, 1] * area).sum(), 1e-7))
        table[name] = Quality(float(np.mean(psnr)), total, float(np.median(ratios)))
    return table, answers


def grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The hole that is asked for to remove this object."""
    side = 2 * _GROW_PX + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def gradient_energy(picture: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Mean squared difference of neighbours, both inside the mask."""
    right, down = mask[:, 1:] & mask[:, :-1], mask[1:] & mask[:-1]
    across = np.square(np.diff(picture, axis=1))[right]
    along = np.square(np.diff(picture, axis=0))[down]
    return float((across.sum() + along.sum()) / (across.size + along.size))


def draw_sheet(cases: list[Case], answers: list[NDArray[np.float32]], file: Path) -> None:
    """Write a PNG of triples: object darkened, answer, truth."""
    triples = [
        np.hstack(
            [_tile(case.picture * np.where(case.mask, 0.3, 1)[..., None]), _tile(answer), _tile(case.truth)]
        )
        for case, answer in zip(cases, answers, strict=True)
    ]
    triples += [np.zeros_like(triples[0])] * (-len(triples) % 2)
    rows = [np.hstack(triples[i : i + 2]) for i in range(0, len(triples), 2)]
    cv2.imwrite(str(file), np.vstack(rows)[:, :, ::-1])


def _tile(picture: NDArray[np.floating]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = _TILE / max(height, width)
    pixels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    small = cv2.resize(pixels, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    tile = np.zeros((_TILE, _TILE, 3), np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small
    return tile
