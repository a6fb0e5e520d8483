"""LaMa's generator against the reference implementation's answers, and its own promises."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.lama.network import LamaConfig, LamaNetwork, Output, Prefill

GOLDEN = Path(__file__).parents[2] / "golden"
TINY = LamaConfig(width=6, downsamplings=2, blocks=2, local_channels=6, global_channels=18)
OURS = LamaConfig(
    width=6,
    downsamplings=3,
    blocks=1,
    local_channels=8,
    global_channels=16,
    prefill=Prefill.SHIFT,
    output=Output.RESIDUAL,
)
SMOOTH = replace(OURS, prefill=Prefill.PYRAMID)

# TorchScript is the released file's format and OpenVINO's way in; torch 2.13 deprecates making more of it.
torchscript = pytest.mark.filterwarnings(
    r"ignore:`torch\.jit\.:DeprecationWarning", "ignore::torch.jit.TracerWarning"
)


def seeded_values(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32] | NDArray[np.int64]:
    """The values that the golden answers were made with: a function of name, shape and seed."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    if name.endswith("num_batches_tracked"):
        return np.array(0, dtype=np.int64)
    values = rng.standard_normal(shape)
    if name.endswith("running_var"):
        values = 1 + 0.2 * np.tanh(values)
    elif name.endswith("running_mean"):
        values = 0.05 * values
    elif len(shape) <= 1:
        values = 1 + 0.1 * np.tanh(values) if name.endswith("weight") else 0.02 * values
    else:
        values = values / np.sqrt(np.prod(shape[1:]))
    return np.asarray(values, dtype=np.float32)


def seeded_picture(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Waves and discs of plain colour: the picture of the golden answers."""
    rng = np.random.default_rng([height, width, seed])
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    picture = np.empty((height, width, 3))
    for channel in range(3):
        fx, fy, phase = rng.uniform(0.005, 0.05, 3)
        picture[..., channel] = 127.5 + 80 * np.sin(x * fx + phase * 99) * np.cos(y * fy)
    for _ in range(12):
        cx, cy, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(10, height / 4)
        picture[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = rng.uniform(0, 255, 3)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def seeded_network(config: LamaConfig, seed: int = 0) -> LamaNetwork:
    network = LamaNetwork(config).eval()
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(seeded_values(name, tuple(tensor.shape), seed)))
        for name, tensor in network.released_state_dict().items()
    }
    network.load_state_dict({name.removeprefix("model."): tensor for name, tensor in tensors.items()})
    return network


def picture_and_hole(height: int, width: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    pictures = np.stack([seeded_picture(height, width, seed) for seed in range(batch)])
    hole = torch.zeros(batch, 1, height, width)
    for item in range(batch):
        hole[item, :, height // 4 + item : height // 2, width // 4 : width // 2 + 3 * item] = 1
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255, hole


def relative_error(answer: Tensor, expected: Tensor) -> float:
    return float(torch.linalg.norm(answer - expected) / torch.linalg.norm(expected))


def test_network_of_released_layout_answers_as_the_reference() -> None:
    layout = json.loads((GOLDEN / "big_lama_layout.json").read_text())
    golden = np.load(GOLDEN / "portable_big_lama.npz")
    seed, (x0, y0, x1, y1) = int(golden["seed"]), golden["mask_box"]
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(seeded_values(name, tuple(shape), seed)))
        for name, shape in layout.items()
    }
    pixels = seeded_picture(int(golden["height"]), int(golden["width"]), seed)
    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    hole = torch.zeros_like(picture[:, :1])
    hole[:, :, y0:y1, x0:x1] = 1

    network = LamaNetwork.load(tensors)
    with torch.inference_mode():
        answer = network(picture, hole)[0].permute(1, 2, 0)[::2, ::2]

    assert network.config == LamaConfig()
    expected = torch.from_numpy(golden["inpainted_sample"])
    inside = hole[0, 0, ::2, ::2] > 0
    assert relative_error(answer, expected) <= 1e-3
    assert relative_error(answer[inside], expected[inside]) <= 1e-3


@pytest.mark.parametrize("config", [TINY, OURS, SMOOTH], ids=["released", "shift", "smooth"])
def test_network_in_a_batch_answers_as_alone(config: LamaConfig) -> None:
    network = seeded_network(config)
    picture, hole = picture_and_hole(48, 64, batch=3)
    with torch.inference_mode():
        together = network(picture, hole)
        alone = torch.cat([network(picture[i : i + 1], hole[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("config", [TINY, OURS, SMOOTH], ids=["released", "shift", "smooth"])
def test_pixels_outside_the_hole_come_back_as_they_are(config: LamaConfig) -> None:
    picture, hole = picture_and_hole(48, 64)
    with torch.inference_mode():
        answer = seeded_network(config)(picture, hole)
    outside = (hole == 0).expand_as(picture)
    assert torch.equal(answer[outside], picture[outside])
    assert not torch.equal(answer[~outside], picture[~outside])
    assert answer.min() >= 0 and answer.max() <= 1


@pytest.mark.parametrize("config", [TINY, OURS, SMOOTH], ids=["released", "shift", "smooth"])
def test_pixels_inside_the_hole_do_not_matter(config: LamaConfig) -> None:
    network = seeded_network(config)
    picture, hole = picture_and_hole(48, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(picture, hole), network(torch.where(hole > 0, 0.9, picture), hole))


@torchscript
def test_a_torchscript_file_of_released_format_loads(tmp_path: Path) -> None:
    class Released(nn.Module):
        def __init__(self, network: LamaNetwork):
            super().__init__()
            self.model = network

        def forward(self, picture: Tensor, hole: Tensor) -> Tensor:
            answer: Tensor = self.model(picture, hole)
            return answer

    network = seeded_network(TINY)
    picture, hole = picture_and_hole(48, 64)
    file = tmp_path / "lama.pt"
    torch.jit.save(torch.jit.trace(Released(network), (picture, hole)), str(file))
    tensors = torch.jit.load(str(file)).state_dict()

    loaded = LamaNetwork.load(tensors)

    assert loaded.config == TINY
    assert "model.generator.model.4.conv2.ffc.convg2g.fu.conv_layer.weight" in tensors
    with torch.inference_mode():
        torch.testing.assert_close(loaded(picture, hole), network(picture, hole))


def test_half_precision_tensors_with_metadata_load_as_single() -> None:
    network = seeded_network(OURS)
    halves = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in network.released_state_dict().items()
    }
    loaded = LamaNetwork.load(halves, {"prefill": "shift", "output": "residual"})
    assert loaded.config == OURS
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    picture, hole = picture_and_hole(48, 64)
    with torch.inference_mode():
        assert relative_error(loaded(picture, hole), network(picture, hole)) < 2e-3


def test_a_checkpoint_with_a_missing_or_unknown_tensor_is_refused_by_name() -> None:
    tensors = seeded_network(TINY).released_state_dict()
    name = "model.generator.model.4.conv2.bn_g.running_var"
    with pytest.raises(CheckpointError, match=r"without 1 tensors.*model\.4\.conv2\.bn_g\.running_var"):
        LamaNetwork.load({key: tensor for key, tensor in tensors.items() if key != name})
    with pytest.raises(CheckpointError, match=r"1 unknown tensors: model\.generator\.surprise"):
        LamaNetwork.load(tensors | {"model.generator.surprise": torch.zeros(1)})


def test_another_networks_checkpoint_is_refused() -> None:
    with pytest.raises(CheckpointError, match="Not a LaMa checkpoint"):
        LamaNetwork.load({"image_encoder.patch_embed.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="shapes do not fit"):
        tensors = seeded_network(TINY).released_state_dict()
        LamaNetwork.load(tensors | {"model.generator.model.3.bn_l.bias": torch.zeros(99)})


def test_metadata_that_is_not_understood_is_refused() -> None:
    with pytest.raises(CheckpointError, match="metadata"):
        LamaNetwork.load(seeded_network(TINY).released_state_dict(), {"prefill": "magic"})


@torchscript
@pytest.mark.parametrize("config", [TINY, OURS], ids=["released", "shift"])
def test_exported_network_answers_as_eager_at_other_sizes(config: LamaConfig) -> None:
    openvino = pytest.importorskip("openvino")
    network = seeded_network(config)
    model = openvino.convert_model(
        network,
        example_input=picture_and_hole(64, 64),
        input=[openvino.PartialShape([-1, 3, -1, -1]), openvino.PartialShape([-1, 1, -1, -1])],
    )
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for picture, hole in (picture_and_hole(64, 64), picture_and_hole(40, 72, batch=2)):
        answer = torch.from_numpy(np.array(compiled([picture.numpy(), hole.numpy()])[0]))
        with torch.inference_mode():
            assert relative_error(answer, network(picture, hole)) <= 1e-4
