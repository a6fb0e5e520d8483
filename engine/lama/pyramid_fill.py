"""A smooth fill of holes, as a start for the network: no learned weights.

Push-pull interpolation (Gortler et al., "The Lumigraph", SIGGRAPH 1996; Burt 1988): average the
known pixels on ever coarser grids until every cell is known, then fill each level from the
coarser one. In between, cells are relaxed towards the mean of their neighbours, which brings the
answer near the membrane spanned by the hole's edge (Laplace's equation, as by multigrid). Batched,
and made of plain tensor operations so that it is exported with the network.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

_LEVELS = 9  # halvings; 512 px become one cell, and a larger picture is still filled by its nearest cells
_UNRELAXED_LEVELS = 2  # the finest: their cells are smooth between relaxed ones anyway


def fill_smoothly(known: Tensor, weight: Tensor, *, relaxations: int = 6) -> Tensor:
    """Fill what is not known by a smooth surface through what is.

    Args:
        known: [B, C, H, W], 0 where not known.
        weight: [B, 1, H, W], 1 where known, else 0.
        relaxations: rounds on each coarse level. 0 saves time and is worth 0.5 dB less on pictures (November
            2026, 39 photographs with a known background).

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
        if len(pictures) >= _UNRELAXED_LEVELS:
            for _ in range(relaxations):
                around = functional.avg_pool2d(functional.pad(filled, (1, 1, 1, 1), mode="replicate"), 3, 1)
                filled = weight * picture + (1 - weight) * around
    return filled


def _halve(x: Tensor) -> Tensor:
    """Means of 2x2 cells; an odd last row or column is completed with zeros."""
    # Not `ceil_mode`: OpenVINO (2026.4) refuses a window that is larger than the picture.
    return functional.avg_pool2d(functional.pad(x, (0, 1, 0, 1)), 2)
