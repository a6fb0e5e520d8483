"""What makes a correction good: fills nearer to the truth, each by the share of what was wrong.

Owns the loss. Squared errors, as PSNR counts them: where what is behind a hole is uncertain, their least mean
is a small correction or none.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.lama.grids import box_mean
from engine.lama.pyramid_fill import fill_smoothly

_DETAIL_RADIUS, _COLOUR_RADIUS = 2, 6  # pixels, of two means: finer is detail, coarser is colour
_FREE_LOSS = 0.04  # of gradients
_LEAST_SQUARES = 1e-4
_ALWAYS_WRONG = 1e-4  # mean squared error, 40 dB: what is filled better than that counts less


def error_share(fill: Tensor, truth: Tensor, hole: Tensor, start: Tensor) -> Tensor:
    """[B] squared error inside the hole over that of `start`; 1 = no better, 0 = the truth.

    A share, so that a sky, where every error shows, counts as much as a crowd, where none does: as in a mean
    of decibels. Pictures are [B, 3, H, W] 0..1, the hole is [B, 1, H, W].
    """
    error, start_error = (_error(picture, truth, hole) for picture in (fill, start))
    return (error + _ALWAYS_WRONG) / (start_error.detach() + _ALWAYS_WRONG)


def _error(picture: Tensor, truth: Tensor, hole: Tensor) -> Tensor:
    """[B] mean squared error of the channels inside the hole."""
    return ((picture - truth).square() * hole).sum((1, 2, 3)) / (3 * hole.sum((1, 2, 3)))


def lost_detail(fill: Tensor, start: Tensor, hole: Tensor) -> Tensor:
    """[B] share of the gradients of `start` inside the hole that the fill has not, 0..1; a little is free.

    The least squared error would be a smear: `start` has as much detail as belongs there, in other places. It
    is projected, not its energy compared, or a checkerboard would make up for it (seen in November 2026).
    """
    kept = power = start.new_full(start.shape[:1], _LEAST_SQUARES)
    for axis in (2, 3):
        length = start.shape[axis] - 1
        inside = hole.narrow(axis, 0, length) * hole.narrow(axis, 1, length)
        gradient = start.diff(dim=axis) * inside
        kept = kept + (fill.diff(dim=axis) * gradient).sum((1, 2, 3))
        power = power + gradient.square().sum((1, 2, 3))
    return (1 - kept / power - _FREE_LOSS).relu()


def imitation_error(fill: Tensor, start: Tensor, hole: Tensor) -> Tensor:
    """Squared difference to a plain correction inside the holes over the square of that; 0 = the same.

    That correction takes out of `start` what lies between colour and detail and differs from a smooth fill:
    it is more often wrong than right. Unlike the truth it can be foreseen wholly, so that it teaches fast.
    """
    with torch.no_grad():
        copied = start - fill_smoothly(start * (1 - hole), 1 - hole)
        narrow = _blurred(copied, _DETAIL_RADIUS)
        plain = (_blurred(narrow, _COLOUR_RADIUS) - narrow) * hole
    difference = (fill - start) * hole - plain
    return difference.square().sum() / (plain.square().sum() + _LEAST_SQUARES)


def _blurred(x: Tensor, radius: int) -> Tensor:
    return box_mean(box_mean(x, radius), radius)
