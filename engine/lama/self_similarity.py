"""The shifts under which a picture repeats itself around its hole.

Photographs repeat themselves under few shifts, and those are where a hole is best filled from (He and Sun,
"Statistics of Patch Offsets for Image Completion", ECCV 2012). There they are found by matching patches;
here by the masked squared difference of the picture with itself under every shift up to a reach, by
correlations in the frequency domain (Padfield, "Masked Object Registration in the Fourier Domain", IEEE TIP
2012). Batched, and made of plain tensor operations so that it is exported with the network: the transforms
are matrix products because the export treats all `torch.fft` of a network as one size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.lama.grids import box_mean

_SHIFTS = 56  # how many are found
_REACH_CELLS = 40  # of a shift, each axis
_TILE_CELLS = 8  # of all shifts in a square of this side one is taken, so that they differ
_LEAST_CELLS = 3  # nearer, every picture resembles itself
_RIM_CELLS = 6  # how far from the hole it counts whether the picture repeats itself
_HOLE_WEIGHT = 0.2  # of resembling what the hole was filled with so far, against its rim
_UNREACHED = 0.05  # cost of a shift that finds no known source, against squared differences of features
_LEAST_COMPARED = 0.1  # share of the rim that must have a known source, else the shift is not judged
_EXCLUDED = 10.0  # above any difference


@dataclass(frozen=True, slots=True)
class Shifts:
    """From each place to its source, rows and columns; all [B, K, 1, 1]."""

    cell_rows: Tensor  # int64, whole cells
    cell_columns: Tensor
    pixel_rows: Tensor  # int64, the same to the pixel
    pixel_columns: Tensor
    misfit: Tensor  # mean squared difference of features around the hole under this shift


def find_shifts(features: Tensor, known: Tensor, cell_px: int) -> Shifts:
    """Find the most self-similar shifts of each picture of a batch.

    Args:
        features: [B, C, h, w] of cells, filled somehow in the hole.
        known: [B, 1, h, w], 1 where a cell is known, else 0.
        cell_px: Side of a cell.
    """
    with torch.autocast(features.device.type, enabled=False):  # its products would lose small differences
        misfit, score = _misfit_of_shifts(features.float(), known.float())
    side, tiles = _TILE_CELLS, (2 * _REACH_CELLS + 1) // _TILE_CELLS
    squares = score[:, : tiles * side, : tiles * side].reshape(-1, tiles, side, tiles, side)
    least, place = squares.permute(0, 1, 3, 2, 4).reshape(-1, tiles * tiles, side * side).min(dim=2)
    tile = torch.arange(tiles * tiles, device=place.device)
    rows = (tile // tiles) * side + place // side - _REACH_CELLS  # [B, T]
    columns = (tile % tiles) * side + place % side - _REACH_CELLS
    is_near = torch.maximum(rows.abs(), columns.abs()) < _LEAST_CELLS
    best = torch.where(is_near, least + 10 * _EXCLUDED, least).topk(_SHIFTS, dim=1, largest=False).indices
    rows, columns = rows.gather(1, best), columns.gather(1, best)
    finer_rows, finer_columns = _finer(misfit, rows, columns)
    return Shifts(
        rows[..., None, None],
        columns[..., None, None],
        (cell_px * (rows + finer_rows)).round().long()[..., None, None],
        (cell_px * (columns + finer_columns)).round().long()[..., None, None],
        _at(torch.where(score < _EXCLUDED, misfit, _EXCLUDED), rows, columns)[..., None, None],
    )


def _misfit_of_shifts(features: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared difference around the hole under each shift, [B, S, S], and that plus what it lacks."""
    hole = 1 - known
    # Means do not matter to differences, and without them the sums below cancel less.
    mean = (features * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1)
    features = features - mean
    rim = known * box_mean(hole, _RIM_CELLS) + _HOLE_WEIGHT * hole
    power = features.square().sum(1, keepdim=True)
    correlation = _Correlation(known)
    here = correlation.spectrum(torch.cat([rim * power, rim * features, rim, hole], dim=1))
    there = correlation.spectrum(torch.cat([known, known * features, known * power], dim=1))
    channels = features.shape[1]
    squared = (
        _product(here, there, slice(0, 1), slice(0, 1))
        - 2 * _product(here, there, slice(1, channels + 1), slice(1, channels + 1))
        + _product(here, there, slice(channels + 1, channels + 2), slice(channels + 1, channels + 2))
    )
    compared = _product(here, there, slice(channels + 1, channels + 2), slice(0, 1))
    reached = _product(here, there, slice(channels + 2, channels + 3), slice(0, 1))
    squared, compared, reached = correlation.shifts(torch.cat([squared, compared, reached], 2)).unbind(1)
    all_rim = rim.sum((1, 2, 3)).clamp(min=1e-3)[:, None, None]
    misfit = squared / (compared + 0.02 * all_rim)
    unreached = 1 - reached / hole.sum((1, 2, 3)).clamp(min=1e-3)[:, None, None]
    # Never a draw between those that are not judged: the same must win however sums are rounded.
    order = torch.arange(misfit.shape[1] * misfit.shape[2], device=misfit.device).reshape(misfit.shape[1:])
    excluded = _EXCLUDED * (1 + order.to(misfit.dtype) / misfit.shape[1] ** 2)
    is_judged = compared > _LEAST_COMPARED * all_rim
    return misfit, torch.where(is_judged, misfit + _UNREACHED * unreached, excluded)


class _Correlation:
    """Sums of a(x) b(x + shift) over all x, for all shifts up to the reach, by Fourier matrices."""

    def __init__(self, like: Tensor) -> None:
        height, width = like.shape[-2:]
        self._rows, self._columns = height + _REACH_CELLS, width + _REACH_CELLS  # no shift comes around
        self._like = like

    def spectrum(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [2, B, C, N, F], real and imaginary parts."""
        height, width = x.shape[-2:]
        along = _fourier(torch.arange(width), torch.arange(self._columns // 2 + 1), self._columns, x)
        real, imaginary = x @ along[0], x @ along[1]
        down = _fourier(torch.arange(self._rows), torch.arange(height), self._rows, x)
        return torch.stack(
            [down[0] @ real - down[1] @ imaginary, down[0] @ imaginary + down[1] @ real], dim=0
        )

    def shifts(self, spectra: Tensor) -> Tensor:
        """[2, B, C, N, F] -> [B, C, S, S]: rows and columns from -reach to reach."""
        offsets = torch.arange(-_REACH_CELLS, _REACH_CELLS + 1)
        up = _fourier(offsets, torch.arange(self._rows), self._rows, self._like)
        real = up[0] @ spectra[0] + up[1] @ spectra[1]
        imaginary = up[0] @ spectra[1] - up[1] @ spectra[0]
        frequencies = torch.arange(self._columns // 2 + 1).to(real.device, real.dtype)
        # The other half mirrors this one, but for the first frequency and, of an even number, the last.
        twice = 1 + (frequencies * (self._columns - 2 * frequencies)).clamp(0, 1)
        back = _fourier(frequencies, offsets, self._columns, self._like) * twice[:, None]
        return (real @ back[0] + imaginary @ back[1]) / (self._rows * self._columns)


def _product(here: Tensor, there: Tensor, of_here: slice, of_there: slice) -> Tensor:
    """[2, B, 1, N, F]: spectrum of the correlations of some channels, summed."""
    (a, b), (c, d) = here[:, :, of_here].unbind(0), there[:, :, of_there].unbind(0)
    return torch.stack([a * c + b * d, a * d - b * c], dim=0).sum(2, keepdim=True)


def _fourier(positions: Tensor, frequencies: Tensor, size: int, like: Tensor) -> Tensor:
    """[2, P, F]: real and imaginary parts of exp(-2 pi i p f / size), on the device of `like`."""
    positions, frequencies = (x.to(like.device, like.dtype) for x in (positions, frequencies))
    angle = (positions[:, None] * frequencies[None] % size) * (2 * math.pi / size)
    return torch.stack([angle.cos(), -angle.sin()], dim=0)


def _at(misfit: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Values of [B, S, S] at shifts [B, K]."""
    side = 2 * _REACH_CELLS + 1
    y, x = ((shift + _REACH_CELLS).clamp(0, side - 1) for shift in (rows, columns))
    return misfit.flatten(1).gather(1, y * side + x)


def _finer(misfit: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Where between cells a parabola through the neighbours is least: [B, K] rows and columns, cells."""
    middle = _at(misfit, rows, columns)
    up, down = _at(misfit, rows - 1, columns), _at(misfit, rows + 1, columns)
    left, right = _at(misfit, rows, columns - 1), _at(misfit, rows, columns + 1)
    along = _at(misfit, rows + 1, columns + 1) + _at(misfit, rows - 1, columns - 1)
    across = _at(misfit, rows + 1, columns - 1) + _at(misfit, rows - 1, columns + 1)
    slope_y, slope_x = (down - up) / 2, (right - left) / 2
    bend_y, bend_x = up + down - 2 * middle, left + right - 2 * middle
    # Along an edge there is a valley instead of a minimum: damped, the step goes straight down to it.
    damping = 0.05 * (bend_y.abs() + bend_x.abs()) + 1e-3
    bend_y, bend_x = bend_y.clamp(min=0) + damping, bend_x.clamp(min=0) + damping
    mixed = (along - across) / 4
    mixed = torch.where(mixed.square() < 0.98 * bend_y * bend_x, mixed, torch.zeros_like(mixed))
    size = bend_y * bend_x - mixed.square()
    return (
        (-(bend_x * slope_y - mixed * slope_x) / size).clamp(-0.6, 0.6),
        (-(bend_y * slope_x - mixed * slope_y) / size).clamp(-0.6, 0.6),
    )
