"""A smooth fill of holes, as a start for the network: no learned weights.

Push-pull interpolation (Gortler et al., "The Lumigraph", SIGGRAPH 1996; Burt 1988): average the
known pixels on ever coarser grids until every cell is known, then fill each level from the
coarser one. Batched, and made of plain tensor operations so that it is exported with the network.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

_LEVELS = 9  # halvings; 512 px become one cell, and a larger picture is still filled by its nearest cells


def fill_smoothly(known: Tensor, weight: Tensor) -> Tensor:
    """Fill what is not known by a smooth surface through what is.

    Args:
        known: [B, C, H, W], 0 where not known.
        weight: [B, 1, H, W], 1 where known, else 0.

    Returns:
        [B, C, H, W], `known` where `weight` is 1; zeros if nothing is known.
    """
    pictures, weights = [known], [weight]
    for _ in range(_LEVELS):
        share, total = _halve(weights[-1]), _halve(pictures[-1] * weights[-1])
        pictures.append(total / share.clamp(min=1e-8))
        # One known pixel of four is enough to trust the cell: else a thin hole would be smoothed from afar.
        weights.append((4 * share).clamp(max=1))
    filled = pictures.pop()
    weights.pop()
    while pictures:
        picture, weight = pictures.pop(), weights.pop()
        finer = functional.interpolate(filled, size=picture.shape[-2:], mode="bilinear", align_corners=False)
        filled = weight * picture + (1 - weight) * finer
    return filled


def _halve(x: Tensor) -> Tensor:
    """Means of 2x2 cells; an odd last row or column is completed with zeros."""
    # Not `ceil_mode`: OpenVINO (2026.4) refuses a window that is larger than the picture.
    return functional.avg_pool2d(functional.pad(x, (0, 1, 0, 1)), 2)
