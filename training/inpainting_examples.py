"""Crops with holes and their classical fills, computed once.

Owns the cache. A classical fill takes as long as a training step and is the same every time, so that it is
kept, in files of a few hundred examples that a stopped preparation goes on from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from training.inpainting_data import Photos, draw_crop

_PART = 200  # examples in a file
_DARKEST = 0.6  # channel of a picture that is shown darker

Prefill = Callable[[Tensor, Tensor], Tensor]  # [B, 3, S, S], [B, 1, S, S] -> [B, 3, S, S]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step learns from."""

    picture: Tensor  # [B, 3, S, S] float32 0..1 RGB, the truth
    start: Tensor  # [B, 3, S, S] float32 0..1 RGB, the picture with the classical fill in the hole
    hole: Tensor  # [B, 1, S, S] float32 1 = to be filled


@dataclass(frozen=True, slots=True)
class Examples:
    """Crops of one size with one hole each."""

    pictures: NDArray[np.uint8]  # [N, S, S, 3] RGB
    starts: NDArray[np.uint8]  # [N, S, S, 3] RGB, filled
    holes: NDArray[np.uint8]  # [N, S, S] 0 or 1

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, chosen: NDArray[np.integer], rng: np.random.Generator | None = None) -> Batch:
        """Those examples; with `rng`, mirrored, turned, darker and of other colours at random."""
        picture, start = (torch.from_numpy(p[chosen]).float() / 255 for p in (self.pictures, self.starts))
        hole = torch.from_numpy(self.holes[chosen]).float()[..., None]
        if rng is not None:
            pairs = [
                _changed(torch.cat(example, -1), rng) for example in zip(picture, start, hole, strict=True)
            ]
            picture, start, hole = torch.split(torch.stack(pairs), [3, 3, 1], dim=-1)
        # Channels last in memory, as the network computes.
        return Batch(*(x.contiguous().permute(0, 3, 1, 2) for x in (picture, start, hole)))


def _changed(example: Tensor, rng: np.random.Generator) -> Tensor:
    """[S, S, 7] picture, start and hole; the classical fill follows such changes but for rounding."""
    if rng.random() < 0.5:
        example = example.flip(1)
    if rng.random() < 0.25:
        example = example.flip(0)
    if rng.random() < 0.25:
        example = example.transpose(0, 1)
    order = rng.permutation(3)
    gain = rng.uniform(_DARKEST, 1) * rng.uniform(_DARKEST**0.5, 1, 3)
    scale = torch.tensor([*gain, *gain, 1.0], dtype=torch.float32)
    return example[..., [*order, *(3 + order), 6]] * scale


def prepare_examples(
    photos: Photos, prefill: Prefill, size: int, count: int, seed: int, folder: Path
) -> Examples:
    """Draw `count` crops of `size` px and fill them; what `folder` holds already is read."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in tqdm(range(0, count, _PART), desc=f"{count} crops of {size} px", unit="file"):
        number = min(_PART, count - first)
        file = folder / f"{size}px_seed{seed}_{first:06d}_{number}.npz"
        if not file.exists():
            part = _prepared(photos, prefill, size, number, np.random.default_rng([seed, size, first]))
            temporary = file.with_suffix(".partial.npz")
            np.savez(temporary, pictures=part.pictures, starts=part.starts, holes=np.packbits(part.holes, -1))
            temporary.replace(file)
        with np.load(file) as kept:
            parts.append((kept["pictures"], kept["starts"], np.unpackbits(kept["holes"], axis=-1)))
    return Examples(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _prepared(photos: Photos, prefill: Prefill, size: int, count: int, rng: np.random.Generator) -> Examples:
    pictures = np.empty((count, size, size, 3), np.uint8)
    starts, holes = np.empty_like(pictures), np.empty((count, size, size), np.uint8)
    for i in range(count):
        pictures[i], holes[i] = draw_crop(photos, size, rng)
        picture = torch.from_numpy(pictures[i]).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            filled = prefill(picture, torch.from_numpy(holes[i])[None, None].float())
        starts[i] = (255 * filled[0]).round().byte().permute(1, 2, 0).cpu().numpy()
    return Examples(pictures, starts, holes)
