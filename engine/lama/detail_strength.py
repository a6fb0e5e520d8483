"""How strong the detail of a hole should be, from that around it.

Strength is the mean squared step between neighbouring pixels: what one sees as texture or its lack. Batched,
and made of plain tensor operations so that it is exported with the network.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engine.lama.grids import box_mean, diffused, mean_where

_LEAST_GAIN, _MOST_GAIN = 0.5, 1.65  # beyond, source or surroundings mislead
_WANTED = 1.1  # of the strength around: where colours are smooth and copies end, some of it is lost
_SMOOTHING_CELLS = 6


def detail_strength(picture: Tensor, weight: Tensor, cell_px: int) -> Tensor:
    """Squared steps of known neighbours, mean of each cell: [B, 3, H, W] and [B, 1, H, W] -> [B, 1, h, w]."""
    right = (picture[:, :, :, 1:] - picture[:, :, :, :-1]) * weight[:, :, :, 1:] * weight[:, :, :, :-1]
    down = (picture[:, :, 1:] - picture[:, :, :-1]) * weight[:, :, 1:] * weight[:, :, :-1]
    steps = functional.pad(right.square().mean(1, keepdim=True), (0, 1))
    steps = steps + functional.pad(down.square().mean(1, keepdim=True), (0, 0, 0, 1))
    return functional.avg_pool2d(steps, cell_px)


def gain_to_strength(
    texture: Tensor, wanted: Tensor, known: Tensor, textured: Tensor, cell_px: int
) -> Tensor:
    """By what to multiply a texture to make it as strong as the surroundings of the hole.

    Args:
        texture: [B, 3, H, W], mean 0.
        wanted: [B, 1, h, w] strength of cells, where they are known.
        known: [B, 1, h, w], 1 where a cell is known, else 0.
        textured: [B, 1, h, w], 1 where the texture is to go and there is one, else 0.
        cell_px: Side of a cell.

    Returns:
        [B, 1, h, w].
    """
    # Of one cell it is mostly chance.
    near = box_mean(wanted * known, 1) / box_mean(known, 1).clamp(min=1e-6) * known
    target = mean_where(diffused(near, known), textured, _SMOOTHING_CELLS)
    own = detail_strength(texture, torch.ones_like(texture[:, :1]), cell_px)
    own = mean_where(own, textured, _SMOOTHING_CELLS)
    return (_WANTED * target / (own + 1e-7)).sqrt().clamp(_LEAST_GAIN, _MOST_GAIN)
