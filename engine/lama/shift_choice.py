"""Which shift each block of a hole is filled by, and how far the copy is to be believed.

Chosen is the shift under which the picture repeats itself around the hole, nearby and in general, and whose
source resembles what the hole should hold. No graph cut as in shift-map editing (Pritch et al., ICCV 2009):
differences are diffused into the hole and the cheapest shift wins. Twice, as in space-time completion (Wexler
et al., PAMI 2007): the second time the first answer says what the hole should hold. Batched, and made of
plain tensor operations so that it is exported with the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from engine.lama.grids import box_mean, diffused, mean_where, wholly
from engine.lama.pyramid_fill import fill_smoothly
from engine.lama.self_similarity import Shifts, find_shifts

BLOCK_CELLS = 2  # a block is chosen for as a whole
_STRUCTURE_CELLS = 5  # what is coarser than about twice this is left to colour; in between is structure
_STRUCTURE_WEIGHT = 8.0  # of structure, against colour
_DETAIL_WEIGHT = 6.0  # of a difference in strength of detail, against one in colour
_SOURCE_WEIGHTS = (2.0, 4.0)  # of a source's likeness to the hole's first and second content, against its rim
_GENERAL_WEIGHT = 3.0  # of repetition all around the hole, against that nearby
_NO_SOURCE = 10.0  # cost of a source that is itself unknown: above any difference of colours
_SMOOTHING_BLOCKS = 2  # radius over which neighbouring blocks share their costs, so that they choose alike
_SURROUNDINGS_BLOCKS = 6  # radius within which colours tell how much chance would differ
_TRUST_BLOCKS = 3  # radius over which trust is decided together
_NOISE = 0.006  # squared difference that is always taken to be there: what is plain needs no copy
_TRUST_FROM, _TRUST_TO = (
    0.6,
    0.8,
)  # share of chance's difference that a copy must explain to count, and to count fully


@dataclass(frozen=True, slots=True)
class Choice:
    """Where each block copies from; all [B, 1, h / 2, w / 2] of h x w cells."""

    rows: Tensor  # int64 pixels from a place to its source
    columns: Tensor
    source_known: Tensor  # 0 or 1
    trust: Tensor  # 0..1: 1 where the picture repeats itself so well that a copy is the best guess
    explained: Tensor  # 0..1: the least squares gain of a copy, 1 if exact, 0 if as foreign as chance


def choose_shifts(colour: Tensor, strength: Tensor, known: Tensor, cell_px: int) -> Choice:
    """Choose for each block of a batch of pictures.

    Args:
        colour: [B, 3, h, w] of cells, filled smoothly in the hole; h and w even.
        strength: [B, 1, h, w] root mean square of detail, likewise.
        known: [B, 1, h, w], 1 where a cell is known, else 0.
        cell_px: Side of a cell.
    """
    structure = colour - box_mean(box_mean(colour, _STRUCTURE_CELLS), _STRUCTURE_CELLS)
    # Weighted so that a sum of squares is the cost: channels 0 to 2 colour, 3 strength, 4 to 6 structure.
    features = torch.cat([colour, _DETAIL_WEIGHT * strength, math.sqrt(_STRUCTURE_WEIGHT) * structure], dim=1)
    shifts = find_shifts(features, known, cell_px)
    here, there = _blocks_and_sources(torch.cat([features, known], dim=1), shifts)
    (look, form, here_known), (there_look, there_form, source_known) = (
        torch.split(x, [4, 3, 1], dim=1) for x in (here, there)
    )
    here_known = wholly(here_known)
    source_known = wholly(source_known.squeeze(1))  # [B, K, h / 2, w / 2]

    unlike = _difference(look, there_look) + _difference(form, there_form)
    nearby = box_mean(diffused(unlike, here_known * source_known), _SMOOTHING_BLOCKS)
    base_cost = nearby + _GENERAL_WEIGHT * shifts.misfit + _NO_SOURCE * (1 - source_known)
    chance = _difference_by_chance(look, form, here_known)
    content = look
    for weight in _SOURCE_WEIGHTS:
        foreign = box_mean(_difference(content, there_look), _SMOOTHING_BLOCKS)
        best = (base_cost + weight * foreign).argmin(dim=1, keepdim=True)
        best_known = source_known.gather(1, best)
        explained = 1 - box_mean(nearby.gather(1, best) + _NOISE, _TRUST_BLOCKS) / chance
        trust = ((explained - _TRUST_FROM) / (_TRUST_TO - _TRUST_FROM)).clamp(0, 1) * best_known
        copied = there_look.gather(2, best.unsqueeze(1).expand(-1, 4, -1, -1, -1)).squeeze(2)
        levelled = copied - fill_smoothly(copied * here_known, here_known)
        content = look + (1 - here_known) * trust * levelled
    rows, columns = (
        shift.expand_as(unlike).gather(1, best) for shift in (shifts.pixel_rows, shifts.pixel_columns)
    )
    return Choice(rows, columns, best_known, trust, explained.clamp(0, 1) * best_known)


def _blocks_and_sources(cells: Tensor, shifts: Shifts) -> tuple[Tensor, Tensor]:
    """Means of blocks, [B, C, h / 2, w / 2], and of their sources, [B, C, K, h / 2, w / 2]; 0 beyond."""
    batch, channels, height, width = cells.shape
    edged = functional.pad(cells, (0, BLOCK_CELLS - 1, 0, BLOCK_CELLS - 1), mode="replicate")
    means = functional.avg_pool2d(edged, BLOCK_CELLS, 1)  # of the block that begins at each cell
    y = torch.arange(0, height, BLOCK_CELLS, device=cells.device)[:, None] + shifts.cell_rows
    x = torch.arange(0, width, BLOCK_CELLS, device=cells.device) + shifts.cell_columns
    inside = (y >= 0) & (y <= height - BLOCK_CELLS) & (x >= 0) & (x <= width - BLOCK_CELLS)
    source = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)  # [B, K, h / 2, w / 2]
    moved = means.flatten(2).gather(2, source.flatten(1).unsqueeze(1).expand(-1, channels, -1))
    moved = moved.reshape(batch, channels, *source.shape[1:])
    moved = torch.where(inside.unsqueeze(1), moved, torch.zeros_like(moved))
    return means[:, :, ::BLOCK_CELLS, ::BLOCK_CELLS], moved


def _difference(here: Tensor, there: Tensor) -> Tensor:
    """[B, C, h, w] and [B, C, K, h, w] -> [B, K, h, w]: squared, summed over channels."""
    return (here.unsqueeze(2) - there).square().sum(1)


def _difference_by_chance(look: Tensor, structure: Tensor, known: Tensor) -> Tensor:
    """[B, 1, h, w]: squared difference of a block to any other of its surroundings."""
    colour = look[:, :3]
    mean = mean_where(colour, known, _SURROUNDINGS_BLOCKS)
    spread = mean_where(colour.square(), known, _SURROUNDINGS_BLOCKS) - mean.square()
    variance = (spread.clamp(min=0) + structure.square()).sum(1, keepdim=True)
    chance = box_mean(diffused(variance, known), _SMOOTHING_BLOCKS)
    return 2 * box_mean(chance, _TRUST_BLOCKS) + 1e-4
