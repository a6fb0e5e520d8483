"""The smooth fill that our checkpoints start from."""

from __future__ import annotations

import pytest
import torch

from engine.lama.pyramid_fill import fill_smoothly


@pytest.mark.parametrize("size", [(16, 16), (37, 53), (128, 96)])
def test_known_pixels_stay_and_the_hole_lies_between_them(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    picture = 0.2 + 0.5 * torch.rand(2, 3, *size, generator=generator)
    weight = (torch.rand(2, 1, *size, generator=generator) > 0.5).float()
    filled = fill_smoothly(picture * weight, weight)
    kept = (weight > 0).expand_as(picture)
    assert torch.equal(filled[kept], picture[kept])
    assert filled.min() >= 0.2 - 1e-5 and filled.max() <= 0.7 + 1e-5


def test_a_hole_in_a_plain_colour_disappears() -> None:
    picture = torch.tensor([0.1, 0.5, 0.9]).reshape(1, 3, 1, 1).expand(1, 3, 96, 160)
    weight = torch.ones(1, 1, 96, 160)
    weight[:, :, 10:80, 20:150] = 0
    torch.testing.assert_close(fill_smoothly(picture * weight, weight), picture)


def test_the_hole_follows_a_gradient() -> None:
    ramp = torch.linspace(0, 1, 128).reshape(1, 1, 1, 128).expand(1, 3, 128, 128)
    weight = torch.ones(1, 1, 128, 128)
    weight[:, :, 40:88, 40:88] = 0
    assert (fill_smoothly(ramp * weight, weight) - ramp).abs().max() < 0.06


def test_a_picture_of_which_nothing_is_known_is_black() -> None:
    assert not fill_smoothly(torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)).any()
