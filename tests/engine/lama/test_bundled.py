"""The inpainting checkpoint that the package brings along."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from engine.lama.network import LamaNetwork

FILE = Path(__file__).parents[3] / "engine" / "bundled" / "lama.safetensors"


def bundled() -> LamaNetwork:
    with safe_open(FILE, "pt") as file:
        return LamaNetwork.load(load_file(FILE), file.metadata())


def test_the_bundled_checkpoint_is_small_and_says_what_it_is() -> None:
    assert FILE.stat().st_size <= 6e6
    with safe_open(FILE, "pt") as file:
        metadata = file.metadata()
    assert {"name", "provenance", "prefill", "output", "good_size"} <= metadata.keys()


def test_the_bundled_network_keeps_colour_and_texture_inside_the_hole() -> None:
    generator = torch.Generator().manual_seed(3)
    ramp = torch.linspace(0.25, 0.6, 128).reshape(1, 1, 1, 128)
    picture = (ramp + 0.15 * torch.rand(1, 3, 128, 128, generator=generator)).clamp(0, 1)
    hole = torch.zeros(1, 1, 128, 128)
    hole[:, :, 44:84, 40:88] = 1
    with torch.inference_mode():
        answer = bundled()(picture, hole)
    inside, truth = answer[..., 44:84, 40:88], picture[..., 44:84, 40:88]
    assert (inside.mean(dim=(2, 3)) - truth.mean(dim=(2, 3))).abs().max() < 0.05
    ratio = inside.diff(dim=-1).square().mean() / truth.diff(dim=-1).square().mean()
    assert 0.5 < ratio < 1.6
