"""How strong detail is made inside a hole."""

from __future__ import annotations

import pytest
import torch

from engine.lama.detail_strength import detail_strength, gain_to_strength

CELL_PX = 4


def noise(scale: float) -> torch.Tensor:
    return scale * torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("of_source", "gain"), [(0.1, 1.0), (0.14, 0.71), (0.08, 1.25), (0.4, 0.5), (0.01, 1.6)]
)
def test_a_texture_becomes_as_strong_as_the_surroundings_within_limits(of_source: float, gain: float) -> None:
    weight = torch.ones(1, 1, 128, 128)
    weight[:, :, 40:80, 40:88] = 0
    known = torch.nn.functional.avg_pool2d(weight, CELL_PX)
    wanted = detail_strength(noise(0.1) * weight, weight, CELL_PX)
    gains = gain_to_strength(noise(of_source), wanted, known, 1 - known, CELL_PX)
    assert float(gains[0, 0, 10:20, 10:22].mean()) == pytest.approx(gain, rel=0.1)


def test_steps_into_the_hole_do_not_count() -> None:
    weight = torch.ones(1, 1, 32, 32)
    weight[:, :, 8:16, 8:16] = 0
    assert not detail_strength(0.5 * weight.expand(1, 3, 32, 32), weight, CELL_PX).any()
