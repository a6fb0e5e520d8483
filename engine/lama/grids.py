"""Grids of cells of a picture: means over neighbours, and the way from cells back to pixels.

Owns the few operations that the classical fills are written with. Batched, and made of plain tensor
operations so that they are exported with the network.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from engine.lama.pyramid_fill import fill_smoothly


def box_mean(x: Tensor, radius: int) -> Tensor:
    """[B, C, h, w]: each cell's mean with its neighbours up to `radius` away, as if the edge went on."""
    return functional.avg_pool2d(functional.pad(x, (radius,) * 4, mode="replicate"), 2 * radius + 1, 1)


def resized(x: Tensor, like: Tensor) -> Tensor:
    """[B, C, h, w] -> [B, C, H, W] of `like`, bilinearly."""
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def diffused(values: Tensor, known: Tensor) -> Tensor:
    """Values [B, K, h, w] kept where `known` [B, 1 or K, h, w] is 1, and spread from there into the rest."""
    weights = known.expand_as(values).flatten(0, 1).unsqueeze(1)
    spread = fill_smoothly(values.flatten(0, 1).unsqueeze(1) * weights, weights, relaxations=0)
    return spread.reshape(values.shape)


def mean_where(x: Tensor, known: Tensor, radius: int) -> Tensor:
    """[B, C, h, w]: mean of the known cells up to `radius` away; 0 where there is none."""
    return box_mean(x * known, radius) / box_mean(known, radius).clamp(min=1e-4)


def wholly(share: Tensor) -> Tensor:
    """1 where a share of what is known is all, else 0."""
    # Not a comparison: in a network that has 8 bits anywhere, OpenVINO (2026.4) takes masks made of truth
    # values for bytes to multiply, and their sums come out wrong.
    return ((share - 0.99) * 200).clamp(0, 1)
