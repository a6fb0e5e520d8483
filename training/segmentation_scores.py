"""How well a segmentation network does on held-out objects, and a picture of it.

Owns the mean IoU after one tap on a folder in the format of `eval/segment`, answered through the
same engine code as the service, and the sheet of predictions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # rows of the index, as JSON brings them

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.segmentation_quality import iou
from engine.mobile_sam.network import MobileSamDecoder, MobileSamEncoder
from engine.mobile_sam.segment import PictureEncoder, PromptDecoder, upscale_logits
from engine.types import ObjectPrompt, RgbImage

IGNORED = 128


@dataclass(frozen=True, slots=True)
class Segmented:
    """One held-out object and the network's answer to one tap in its middle."""

    name: str
    subset: str
    tier: str
    iou: float  # of the mask the service would use
    best_iou: float  # of the best of all candidates
    predicted_iou: float
    tap: tuple[float, float]
    image: RgbImage
    mask: NDArray[np.bool_]
    truth: NDArray[np.uint8]


def segment_held_out(
    encoder: MobileSamEncoder, decoder: MobileSamDecoder, folder: Path, image_size: int
) -> list[Segmented]:
    """Tap each object of `folder`/index.json once, in its middle, in a frame of `image_size` pixels."""
    pictures = PictureEncoder(_eager(encoder), image_size)
    prompts = PromptDecoder(_eager(decoder), image_size, single_first=True)
    return [
        _segment(row, folder, pictures, prompts, image_size)
        for row in json.loads((folder / "index.json").read_text())["objects"]
    ]


def mean_scores(objects: list[Segmented]) -> dict[str, float]:
    """Mean IoU over all objects, by tier and by subset, and of the best candidate."""
    groups: dict[str, list[float]] = {"all": [], "best candidate": []}
    for item in objects:
        groups["all"].append(item.iou)
        groups["best candidate"].append(item.best_iou)
        groups.setdefault(item.tier, []).append(item.iou)
        groups.setdefault(item.subset, []).append(item.iou)
    return {name: round(float(np.mean(values)), 4) for name, values in groups.items()}


def draw_sheet(objects: list[Segmented], path: Path, columns: int = 8, cell_px: int = 160) -> None:
    """Every second object as a picture: prediction green, missed red, tap yellow."""
    cells = []
    for item in objects[::2]:
        shown = item.image.pixels.astype(np.float32)
        truth = item.truth == 255
        shown[item.mask & truth] = 0.5 * shown[item.mask & truth] + [0, 127, 0]
        shown[item.mask & ~truth] = 0.5 * shown[item.mask & ~truth] + [0, 60, 127]
        shown[~item.mask & truth] = 0.5 * shown[~item.mask & truth] + [127, 0, 0]
        scale = cell_px / max(shown.shape[:2])
        small = cv2.resize(shown.astype(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cell = np.zeros((cell_px, cell_px, 3), np.uint8)
        cell[: small.shape[0], : small.shape[1]] = small[:cell_px, :cell_px]
        centre = int(item.tap[0] * scale), int(item.tap[1] * scale)
        cv2.circle(cell, centre, 3, (255, 255, 0), -1)
        cv2.putText(cell, f"{item.iou:.2f}", (4, cell_px - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255))
        cells.append(cell)
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def _segment(
    row: Mapping[str, Any], folder: Path, pictures: PictureEncoder, prompts: PromptDecoder, image_size: int
) -> Segmented:
    image = RgbImage(_read(folder / row["image"], cv2.IMREAD_COLOR_RGB))
    truth = _read(folder / row["mask"], cv2.IMREAD_GRAYSCALE)
    x, y = row["click"]
    (embedding,) = pictures.encode([image])
    ((decoded,),) = prompts.decode([(embedding, [ObjectPrompt(((x, y),), (1,))])])
    counted = truth != IGNORED
    masks = [
        upscale_logits(candidate.logits, image.width, image.height, image_size) > 0
        for candidate in decoded.candidates
    ]
    ious = [iou(mask & counted, truth == 255) for mask in masks]
    return Segmented(
        name=row["name"],
        subset=row["subset"],
        tier=row["tier"],
        iou=ious[0],
        best_iou=max(ious),
        predicted_iou=decoded.candidates[0].score,
        tap=(x, y),
        image=image,
        mask=masks[0],
        truth=truth,
    )


def _read(path: Path, mode: int) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), mode)
    if image is None:
        raise FileNotFoundError(f"cannot read {path}")
    return image.astype(np.uint8, copy=False)


def _eager(network: nn.Module) -> Callable[..., tuple[NDArray[np.float32], ...]]:
    def run(*arrays: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        with torch.inference_mode():
            answer = network(*(torch.from_numpy(array) for array in arrays))
        return tuple(tensor.numpy() for tensor in (answer if isinstance(answer, tuple) else (answer,)))

    return run
