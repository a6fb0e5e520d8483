"""A textured fill of holes, as a start for the network: no learned weights.

Owns a fill made of three layers: smooth colours through the hole's surroundings (`pyramid_fill`),
and structure and fine detail copied from elsewhere in the same picture. From where, is chosen
per cell among a fixed ring of shifts, as in shift-map editing (Pritch et al., ICCV 2009) and
"Statistics of Patch Offsets" (He and Sun, ECCV 2012): the shift under which the picture best
repeats itself around the hole, and whose source resembles what the hole should hold. No graph
cut: costs are diffused into the hole and the cheapest shift wins. Structure is copied only as far
as it does repeat itself. Batched, and made of plain tensor operations so that it is exported with
the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.lama.pyramid_fill import fill_smoothly

_CELL_PX = 4  # shifts are chosen per cell of 4x4 px, and are multiples of it; finer than about this is detail
_STRUCTURE_CELLS = (
    5  # what is coarser than about twice this is left to the smooth fill; in between is structure
)
_SOURCE_WEIGHT = 4.0  # of a source's likeness to the smooth fill, against repetition around the hole
_STRUCTURE_WEIGHT = 8.0  # of the repetition of structure, against that of colour
_DETAIL_WEIGHT = 6.0  # of a difference in strength of detail, against one in colour
_DETAIL_GAIN = 1.06  # of copied detail; what blends smoothly into the picture would else look weak
_SMOOTHING_CELLS = 3  # radius over which neighbouring cells share their costs, so that they choose alike
_NO_SOURCE = 10.0  # cost of a source that is itself unknown: above any difference of colours
_RADII_PX = (16, 32, 64, 96, 128)
_DIRECTIONS = 8


@dataclass(frozen=True, slots=True)
class _Choice:
    """Where each cell copies from; all [B, C, H / 4, W / 4]."""

    shift: Tensor  # int64, index among the shifts; C = 1
    source_known: Tensor  # 0 or 1; C = 1
    structure: Tensor  # what to add to the smooth fill for the sake of structure; C = 3


class ShiftFill(nn.Module):
    """Fills what is not known by smooth colours and structure and detail of the same picture."""

    _shifts: Tensor  # [K, 2] int64 rows and columns, in cells

    def __init__(self) -> None:
        super().__init__()
        # A buffer, so that it follows the network to its device; not a weight, so not in the state dict.
        self.register_buffer("_shifts", torch.tensor(_ring_of_shifts()), persistent=False)

    def forward(self, known: Tensor, weight: Tensor) -> Tensor:
        """Fill the holes of a batch.

        Args:
            known: [B, 3, H, W] float32 0..1, 0 where not known; H and W multiples of 8.
            weight: [B, 1, H, W] float32, 1 where known, else 0.

        Returns:
            [B, 3, H, W] float32 0..1, `known` where `weight` is 1.
        """
        smooth = fill_smoothly(known, weight)
        coarse = _resized(_mean(functional.avg_pool2d(smooth, _CELL_PX), 1), smooth)
        detail = smooth - coarse
        choice = self._choose(smooth, detail, weight)
        structure = _resized(_mean(choice.structure, 1), smooth)
        filled = coarse + structure + _DETAIL_GAIN * self._copy(detail, choice)
        return weight * known + (1 - weight) * filled.clamp(0, 1)

    def _choose(self, smooth: Tensor, detail: Tensor, weight: Tensor) -> _Choice:
        known = (functional.avg_pool2d(weight, _CELL_PX) > 0.999).to(smooth.dtype)
        colour = functional.avg_pool2d(smooth, _CELL_PX)
        structure = colour - _mean(_mean(colour, _STRUCTURE_CELLS), _STRUCTURE_CELLS)
        power = functional.avg_pool2d((detail * weight).square().mean(1, keepdim=True), _CELL_PX)
        strength = _diffused(_mean(power, 1).clamp(min=1e-10).sqrt(), known)
        look = torch.cat([colour, _DETAIL_WEIGHT * strength], dim=1)

        moved = self._moved(torch.cat([look, structure, known], dim=1))  # [B, 8, K, H / 4, W / 4]
        source_known = moved[:, 7]
        unlike = (look.unsqueeze(2) - moved[:, :4]).square().sum(1)
        unlike_structure = (structure.unsqueeze(2) - moved[:, 4:7]).square().sum(1)
        # Around the hole: does the picture repeat itself under this shift? Diffused into the hole.
        comparable = known * source_known
        mismatch = _mean(_diffused(unlike_structure, comparable), _SMOOTHING_CELLS)
        cost = _mean(_diffused(unlike, comparable) + _SOURCE_WEIGHT * unlike, _SMOOTHING_CELLS)
        cost = cost + _STRUCTURE_WEIGHT * mismatch + _NO_SOURCE * (1 - source_known)
        best = cost.argmin(dim=1, keepdim=True)
        best_known = source_known.gather(1, best)

        # The least squares gain of a copy: 1 if it repeats exactly, 0 if it is as foreign as chance.
        by_chance = 2 * _mean(_diffused(structure.square().sum(1, keepdim=True), known), _SMOOTHING_CELLS)
        gain = (1 - mismatch.gather(1, best) / (by_chance + 1e-5)).clamp(0, 1) * best_known
        copied = moved[:, 4:7].gather(2, best.unsqueeze(1).expand(-1, 3, -1, -1, -1)).squeeze(2)
        return _Choice(best, best_known, gain * (copied - structure))

    def _moved(self, cells: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C, K, h, w]: the cells each shift points to; zeros beyond the picture."""
        batch, channels, height, width = cells.shape
        y = torch.arange(height, device=cells.device).reshape(1, height, 1) + self._shifts[:, 0, None, None]
        x = torch.arange(width, device=cells.device).reshape(1, 1, width) + self._shifts[:, 1, None, None]
        inside = ((y >= 0) & (y < height) & (x >= 0) & (x < width)).to(cells.dtype)
        source = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
        moved = cells.flatten(2).index_select(2, source.flatten())
        return moved.reshape(batch, channels, -1, height, width) * inside

    def _copy(self, detail: Tensor, choice: _Choice) -> Tensor:
        """The detail at each pixel's source; 0 where the source is unknown."""
        batch, channels, height, width = detail.shape
        rows, columns = (_to_pixels(_CELL_PX * self._shifts[:, axis][choice.shift]) for axis in (0, 1))
        y = torch.arange(height, device=detail.device).reshape(1, 1, height, 1) + rows
        x = torch.arange(width, device=detail.device).reshape(1, 1, 1, width) + columns
        source = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
        copied = detail.flatten(2).gather(2, source.flatten(2).expand(batch, channels, height * width))
        return copied.reshape(batch, channels, height, width) * _to_pixels(choice.source_known)


def _ring_of_shifts() -> list[tuple[int, int]]:
    """All shifts (rows, columns) in cells; every second ring is turned by half a step."""
    shifts = []
    for ring, radius in enumerate(_RADII_PX):
        for step in range(_DIRECTIONS):
            angle = 2 * math.pi * (step + 0.5 * (ring % 2)) / _DIRECTIONS
            rows, columns = radius * math.sin(angle) / _CELL_PX, radius * math.cos(angle) / _CELL_PX
            shifts.append((round(rows), round(columns)))
    return shifts


def _diffused(values: Tensor, known: Tensor) -> Tensor:
    """Values [B, K, h, w] kept where `known` [B, 1 or K, h, w] is 1, and spread from there into the rest."""
    weights = known.expand_as(values).flatten(0, 1).unsqueeze(1)
    spread = fill_smoothly(values.flatten(0, 1).unsqueeze(1) * weights, weights, relaxations=0)
    return spread.reshape(values.shape)


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _mean(x: Tensor, radius: int) -> Tensor:
    return functional.avg_pool2d(functional.pad(x, (radius,) * 4, mode="replicate"), 2 * radius + 1, 1)


def _to_pixels(cells: Tensor) -> Tensor:
    return cells.repeat_interleave(_CELL_PX, dim=2).repeat_interleave(_CELL_PX, dim=3)
