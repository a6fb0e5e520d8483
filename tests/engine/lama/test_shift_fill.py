"""The textured fill that our checkpoints start from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.lama.pyramid_fill import fill_smoothly
from engine.lama.shift_fill import ShiftFill


def hole_in_the_middle(height: int, width: int) -> Tensor:
    weight = torch.ones(1, 1, height, width)
    weight[:, :, height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 0
    return weight


def strength(picture: Tensor, weight: Tensor) -> float:
    """Root mean square step between neighbours in a row inside the hole."""
    inside = (weight[..., 1:] + weight[..., :-1] == 0).expand_as(picture[..., 1:])
    return float(picture.diff(dim=-1)[inside].square().mean().sqrt())


@pytest.mark.parametrize("size", [(16, 16), (40, 56), (128, 96)])
def test_known_pixels_stay(size: tuple[int, int]) -> None:
    picture = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    weight = hole_in_the_middle(*size).expand(2, 1, *size)
    filled = ShiftFill()(picture * weight, weight)
    kept = (weight > 0).expand_as(picture)
    assert torch.equal(filled[kept], picture[kept])
    assert filled.min() >= 0
    assert filled.max() <= 1


def test_a_hole_in_noise_is_filled_as_strongly_as_its_surroundings() -> None:
    picture = 0.3 + 0.4 * torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    weight = hole_in_the_middle(128, 128)
    truth = strength(picture, weight)
    assert 0.8 * truth < strength(ShiftFill()(picture * weight, weight), weight) < 1.2 * truth
    assert strength(fill_smoothly(picture * weight, weight), weight) < 0.2 * truth


def test_a_hole_in_a_periodic_pattern_is_continued() -> None:
    x = torch.arange(160)
    stripes = (0.5 + 0.3 * torch.sin(2 * torch.pi * x / 8)).reshape(1, 1, 1, 160).expand(1, 3, 160, 160)
    weight = hole_in_the_middle(160, 160)
    error = (ShiftFill()(stripes * weight, weight) - stripes).abs().mean()
    smooth_error = (fill_smoothly(stripes * weight, weight) - stripes).abs().mean()
    assert error < 0.25 * smooth_error


def test_a_hole_in_a_plain_colour_disappears() -> None:
    picture = torch.tensor([0.1, 0.5, 0.9]).reshape(1, 3, 1, 1).expand(1, 3, 96, 160)
    weight = hole_in_the_middle(96, 160)
    torch.testing.assert_close(ShiftFill()(picture * weight, weight), picture)


def test_a_picture_without_anything_known_is_filled_with_something_finite() -> None:
    filled = ShiftFill()(torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32))
    assert torch.isfinite(filled).all()
