"""The textured fill that our checkpoints start from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from docs.draw_photo import beach
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


def disc_in_the_middle(side: int, radius: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return ((y - side // 2).square() + (x - side // 2).square() > radius**2).float()[None, None]


SAND, SEA = torch.tensor([0.85, 0.75, 0.6]), torch.tensor([0.2, 0.4, 0.6])


def two_colours(side: int, degrees: float) -> Tensor:
    """Sand above sea with a little noise, the edge turned by so many degrees: [1, 3, S, S]."""
    y, x = torch.meshgrid(torch.arange(side) - side / 2.0, torch.arange(side) - side / 2.0, indexing="ij")
    angle = torch.deg2rad(torch.tensor(degrees))
    share = (y * angle.cos() + x * angle.sin() + 6.2).clamp(0, 1)
    picture = SAND[:, None, None] * (1 - share) + SEA[:, None, None] * share
    noise = torch.randn(3, side, side, generator=torch.Generator().manual_seed(1))
    return (picture + 0.01 * noise).clamp(0, 1)[None]


@pytest.mark.parametrize("degrees", [0, 12, -25, 40, 63, 90])
def test_an_edge_that_runs_into_the_hole_is_continued_straight(degrees: float) -> None:
    picture, weight = two_colours(256, degrees), disc_in_the_middle(256, 36)
    filled = ShiftFill()(picture * weight, weight)
    to_sand, to_sea = ((filled[0] - colour[:, None, None]).norm(dim=0) for colour in (SAND, SEA))
    is_sea, was_sea = to_sea < to_sand, (picture[0] - SEA[:, None, None]).norm(dim=0) < 0.3
    differs = (is_sea != was_sea).float()
    # Nowhere is it off by 3 px: no square of 3 x 3 px differs as a whole.
    assert not (-torch.nn.functional.max_pool2d(-differs[None], 3, 1)).any()
    assert differs.sum() < 0.02 * (1 - weight).sum()


@pytest.mark.parametrize("degrees", [0, 25, 63])
def test_two_colours_that_meet_in_the_hole_are_not_mixed(degrees: float) -> None:
    picture, weight = two_colours(256, degrees), disc_in_the_middle(256, 36)
    filled = ShiftFill()(picture * weight, weight)
    nearest = torch.stack([(filled[0] - c[:, None, None]).norm(dim=0) for c in (SAND, SEA)]).amin(0)
    mixed = (nearest > 0.15) & (weight[0, 0] == 0)
    smooth = fill_smoothly(picture * weight, weight)
    smooth_nearest = torch.stack([(smooth[0] - c[:, None, None]).norm(dim=0) for c in (SAND, SEA)]).amin(0)
    smeared = (smooth_nearest > 0.15) & (weight[0, 0] == 0)
    # Only along the edge itself, of 72 px, whose pixels are part of both.
    assert mixed.sum() <= 2 * 72
    assert smeared.sum() > 8 * mixed.sum()


def test_the_far_side_of_an_edge_does_not_tint_what_lies_before_it() -> None:
    # Sand repeats nothing, so that only the shore is copied: the sea must not run into the sand.
    drawn = beach(np.random.default_rng(7))[170:490, 90:410].clip(0, 255) / 255
    picture = torch.tensor(drawn.transpose(2, 0, 1)[None], dtype=torch.float32)
    weight = disc_in_the_middle(320, 77)
    filled = ShiftFill()(picture * weight, weight)
    difference = torch.nn.functional.avg_pool2d(filled - picture, 21, 1).abs().amax(1)
    assert difference[:, 100:].max() < 0.06  # from where no square of 21 px has a part of the sea


def test_bars_behind_the_hole_go_on() -> None:
    y, x = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    bars = torch.where(((x % 28) < 12) & (y > 60) & (y < 200), 0.2, 0.8).expand(1, 3, 256, 256)
    weight = disc_in_the_middle(256, 36)
    assert (ShiftFill()(bars * weight, weight) - bars).abs().max() < 0.05


def test_pictures_of_a_batch_are_filled_as_alone() -> None:
    pictures = torch.cat([two_colours(128, degrees) for degrees in (0, 40)])
    weight = disc_in_the_middle(128, 20).expand(2, 1, 128, 128)
    together = ShiftFill()(pictures * weight, weight)
    for row in range(2):
        alone = ShiftFill()(pictures[row : row + 1] * weight[:1], weight[:1])
        torch.testing.assert_close(together[row : row + 1], alone)
