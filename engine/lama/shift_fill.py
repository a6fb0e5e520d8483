"""A textured fill of holes, as a start for the network: no learned weights.

Owns a fill that continues what repeats itself and is smooth elsewhere. Its base is a membrane through the
hole's surroundings (`pyramid_fill`): on average the best guess of a colour, but a mixture where two meet, of
sea and sand a smear. So where the picture repeats itself around the hole under a shift (`shift_choice`), as
edges, stripes and walls do, the fill is a copy from there, levelled at the hole's edge by a membrane of the
differences (as in "Poisson Image Editing", Perez et al., SIGGRAPH 2003). Elsewhere only detail is copied, as
strong as it is around the hole (`detail_strength`). Batched, and made of plain tensor operations so that it
is exported with the network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.lama.detail_strength import detail_strength, gain_to_strength
from engine.lama.grids import box_mean, diffused, resized, wholly
from engine.lama.pyramid_fill import fill_smoothly
from engine.lama.shift_choice import BLOCK_CELLS, Choice, choose_shifts

_CELL_PX = 4  # finer than about this is detail
_BLOCK_PX = BLOCK_CELLS * _CELL_PX
_STRUCTURE_CELLS = 5  # coarser than about twice this is colour
_STRUCTURE_GAIN = 0.7  # of what is likely to be right: the estimate is optimistic
_BLEND_PX = 4  # width over which neighbouring blocks with different sources are blended
_SURE_POWER = 6  # of trust: a wrong copy that others take their colours from costs more than its own place
# Gain of detail wider than 3 px: where it is, is chance, and it costs most of what misplaced detail costs.
_COARSER_DETAIL = 0.4


class ShiftFill(nn.Module):
    """Fills what is not known by what the picture repeats around it, else by smooth colours and detail."""

    def forward(self, known: Tensor, weight: Tensor) -> Tensor:
        """Fill the holes of a batch.

        Args:
            known: [B, 3, H, W] float32 0..1, 0 where not known; H and W multiples of 8.
            weight: [B, 1, H, W] float32, 1 where known, else 0.

        Returns:
            [B, 3, H, W] float32 0..1, `known` where `weight` is 1.
        """
        smooth = fill_smoothly(known, weight)
        cells = functional.avg_pool2d(smooth, _CELL_PX)
        cell_known = wholly(functional.avg_pool2d(weight, _CELL_PX))
        detail = smooth - resized(box_mean(cells, 1), smooth)
        power = functional.avg_pool2d((detail * weight).square().mean(1, keepdim=True), _CELL_PX)
        strength = diffused(box_mean(power, 1).clamp(min=1e-10).sqrt(), cell_known)
        choice = choose_shifts(cells, strength, cell_known, _CELL_PX)

        copied = _copy_blended(smooth, choice)
        copied = copied - fill_smoothly(copied * weight, weight)  # what it adds to `smooth`
        trust = resized(box_mean(choice.trust, 1), smooth)
        texture = _copy(detail, choice)
        fine = texture - box_mean(texture, 1)
        texture = fine + _COARSER_DETAIL * (texture - fine)
        textured = (1 - cell_known) * _enlarged(choice.source_known, BLOCK_CELLS)
        wanted = detail_strength(known, weight, _CELL_PX)
        texture = texture * resized(
            gain_to_strength(texture, wanted, cell_known, textured, _CELL_PX), texture
        )
        structure = resized(_structure(copied, choice.explained), smooth)
        copy = smooth + copied
        # Beside a copy that is sure, the membrane goes through the copy, not through what lies behind it.
        pinned = weight + (1 - weight) * trust.pow(_SURE_POWER)
        membrane = fill_smoothly(weight * known + (1 - weight) * copy, pinned)
        plain = membrane + _STRUCTURE_GAIN * structure + texture - detail
        filled = trust * copy + (1 - trust) * plain
        return weight * known + (1 - weight) * filled.clamp(0, 1)


def _structure(copied: Tensor, explained: Tensor) -> Tensor:
    """[B, 3, h, w] of cells: what is copied between detail and colour, as far as it is likely to be right."""
    cells = functional.avg_pool2d(copied, _CELL_PX)
    band = cells - box_mean(box_mean(cells, _STRUCTURE_CELLS), _STRUCTURE_CELLS)
    return box_mean(_enlarged(explained, BLOCK_CELLS) * band, 1)


def _copy(picture: Tensor, choice: Choice) -> Tensor:
    """The pixel at each pixel's source; 0 where the source is unknown."""
    rows, columns, known = (
        _enlarged(x, _BLOCK_PX) for x in (choice.rows, choice.columns, choice.source_known)
    )
    return _gathered(picture, rows, columns) * known


def _copy_blended(picture: Tensor, choice: Choice) -> Tensor:
    """The same blended between neighbouring blocks; the picture itself where the source is unknown."""
    height, width = picture.shape[-2:]
    (upper, lower, share_y), (left, right, share_x) = (
        _neighbours(torch.arange(size, device=picture.device).to(picture.dtype)) for size in (height, width)
    )
    choices = torch.cat([choice.rows, choice.columns, choice.source_known.round().long()], dim=1)
    last_row, last_column = choices.shape[-2] - 1, choices.shape[-1] - 1
    blended = torch.zeros_like(picture)
    for row, weight_y in ((upper, 1 - share_y), (lower, share_y)):
        of_row = choices.index_select(2, row.clamp(0, last_row))
        for column, weight_x in ((left, 1 - share_x), (right, share_x)):
            of_block = of_row.index_select(3, column.clamp(0, last_column))
            rows, columns, known = torch.split(of_block, 1, dim=1)
            source = _gathered(picture, rows, columns)
            part = torch.where(known > 0, source, picture)
            blended = blended + weight_y[:, None] * weight_x * part
    return blended


def _enlarged(x: Tensor, times: int) -> Tensor:
    return x.repeat_interleave(times, dim=2).repeat_interleave(times, dim=3)


def _neighbours(pixel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The blocks before and after each pixel of an axis, by their middles, and the share of the latter."""
    first = ((pixel + _BLOCK_PX // 2) / _BLOCK_PX).floor() - 1
    from_edge = pixel - _BLOCK_PX * (first + 1) + 0.5  # of the two blocks
    return first.long(), first.long() + 1, (from_edge / _BLEND_PX + 0.5).clamp(0, 1)


def _gathered(picture: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """[B, C, H, W] at shifts [B, 1, H, W] from each pixel, the edge repeated outward."""
    batch, channels, height, width = picture.shape
    y = torch.arange(height, device=picture.device)[:, None] + rows
    x = torch.arange(width, device=picture.device) + columns
    source = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    gathered = picture.flatten(2).gather(2, source.flatten(2).expand(batch, channels, height * width))
    return gathered.reshape(batch, channels, height, width)
