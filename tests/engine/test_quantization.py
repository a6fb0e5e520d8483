"""Convolutions in 8 bits: which, how near, and that the processor has bytes to multiply."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.quantization import quantize
from engine.runtime import Backend, Device, Runtime, RuntimeOptions, build_runtime
from engine.silent_openvino import openvino
from engine.types import Precision
from tests.engine.sources import compiled_exactly, model_of_pictures, source_of

CHANNELS = 64
BYTES = {"i8", "u8"}


class Layers(nn.Module):
    """Wide convolutions after ReLUs, one of them padded; one of single pixels, one narrow, one signed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.wide = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.padded = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, padding_mode="reflect", bias=False)
        self.single = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.signed = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.last = nn.Conv2d(CHANNELS, 3, 3, padding=1)
        generator = torch.Generator().manual_seed(0)
        for layer in self.children():
            assert isinstance(layer, nn.Conv2d)
            layer.weight.data.normal_(generator=generator).div_(layer.weight[0].numel() ** 0.5 / 1.4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.wide(torch.relu(self.first(x))))
        x = self.single(x + torch.relu(self.padded(x)))
        return self.last(torch.relu(self.signed(x)))


def pictures(count: int, seed: int) -> list[tuple[np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [(rng.random((1, 3, 24, 32), np.float32),) for _ in range(count)]


def convert(module: nn.Module) -> Any:
    return model_of_pictures(module, torch.zeros(2, 3, 24, 32))


@pytest.fixture(scope="module")
def layers() -> nn.Module:
    return Layers().eval()


@pytest.fixture(scope="module")
def in_8_bits(layers: nn.Module) -> Any:
    model = convert(layers)
    assert quantize(openvino.Core(), model, pictures(3, seed=1)) == 2
    return model


def wanted(layers: nn.Module, picture: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(layers(torch.from_numpy(picture)).numpy())


def test_the_wide_convolutions_after_relus_have_bytes_and_no_other(in_8_bits: Any) -> None:
    kernels = {
        tuple(node.input_value(1).get_shape()): node.input_value(1).get_node().get_type_name()
        for node in in_8_bits.get_ordered_ops()
        if node.get_type_name() == "Convolution"
    }
    assert kernels[(CHANNELS, 3, 3, 3)] == kernels[(3, CHANNELS, 3, 3)] == "Constant"
    assert kernels[(CHANNELS, CHANNELS, 1, 1)] == "Constant"
    kinds = [
        node.input_value(1).get_node().get_type_name()
        for node in in_8_bits.get_ordered_ops()
        if node.get_type_name() == "Convolution"
        and tuple(node.input_value(1).get_shape()) == (CHANNELS, CHANNELS, 3, 3)
    ]
    assert sorted(kinds) == ["Constant", "Multiply", "Multiply"]


def test_the_processor_multiplies_bytes(in_8_bits: Any) -> None:
    """OpenVINO falls back to fp32 in silence where it cannot make bytes of a model's steps."""
    inputs = [
        node.input_value(0).get_element_type().get_type_name()
        for node in compiled_exactly(in_8_bits).get_runtime_model().get_ordered_ops()
        if node.get_rt_info()["layerType"].astype(str) == "Convolution"
    ]
    assert len([kind for kind in inputs if kind in BYTES]) == 2


def test_answers_stay_near_on_pictures_that_chose_nothing(layers: nn.Module, in_8_bits: Any) -> None:
    run = compiled_exactly(in_8_bits)
    for (picture,) in pictures(3, seed=2):
        exact = wanted(layers, picture)
        assert np.linalg.norm(run([picture])[0] - exact) < 0.015 * np.linalg.norm(exact - exact.mean())


def test_rounding_shifts_no_channel(layers: nn.Module) -> None:
    """Rounded weights times inputs that are positive would."""
    module = nn.Sequential(layers.get_submodule("first"), nn.ReLU(), layers.get_submodule("wide"))
    model, exact = convert(module), compiled_exactly(convert(module))
    assert quantize(openvino.Core(), model, pictures(8, seed=3)) == 1
    run = compiled_exactly(model)
    shifts, errors = [], []
    for (picture,) in pictures(8, seed=4):
        difference = run([picture])[0] - exact([picture])[0]
        shifts.append(difference.mean(axis=(0, 2, 3)))
        errors.append(difference.std())
    assert np.abs(np.mean(shifts, axis=0)).mean() < 0.1 * np.mean(errors)


def test_a_batch_and_another_size_answer_alike(layers: nn.Module, in_8_bits: Any) -> None:
    batch = np.random.default_rng(5).random((3, 3, 40, 16), np.float32)
    exact = wanted(layers, batch)
    assert np.linalg.norm(compiled_exactly(in_8_bits)([batch])[0] - exact) < 0.02 * np.linalg.norm(exact)


def test_the_last_of_the_wide_convolutions_may_stay_exact(layers: nn.Module) -> None:
    model, exact = convert(layers), convert(layers)
    assert quantize(openvino.Core(), model, pictures(3, seed=1), exact_share=0.5) == 1
    assert quantize(openvino.Core(), exact, pictures(3, seed=1), exact_share=1.0) == 0
    kinds = {
        node.get_friendly_name(): node.input_value(1).get_node().get_type_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Convolution"
    }
    rounded = [name for name, kind in kinds.items() if kind == "Multiply"]
    assert rounded == [name for name in kinds if name == rounded[0]]
    assert list(kinds).index(rounded[0]) == 1  # behind `first`: `wide`, and not `padded`


def test_a_model_without_wide_convolutions_stays_as_it_is() -> None:
    model = convert(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)))
    before = len(model.get_ops())
    assert quantize(openvino.Core(), model, pictures(1, seed=0)) == 0
    assert len(model.get_ops()) == before


def build(layers: nn.Module, folder: Path, precision: Precision, threads: int = 1) -> Runtime:
    source = source_of(layers, (np.zeros((2, 3, 24, 32), np.float32),), ((0, 2, 3),), "layers")
    source = replace(source, calibration=lambda: pictures(3, seed=1))
    return build_runtime(
        source,
        RuntimeOptions(
            cache_dir=folder,
            device=Device.CPU,
            backend=Backend.OPENVINO,
            precision=precision,
            threads=threads,
        ),
    )


def test_8_bits_are_kept_beside_the_conversion_they_were_made_of(
    layers: nn.Module, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (picture,) = pictures(1, seed=6)[0]
    answers = []
    for threads in (1, 2):  # what is compiled for one is of no use to the other
        run = build(layers, tmp_path, Precision.INT8, threads)
        assert run.precision is Precision.INT8
        answers.append(run(picture)[0])
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)
    exact = build(layers, tmp_path, Precision.FP32)(picture)[0]
    assert 0 < np.linalg.norm(answers[0] - exact) < 0.02 * np.linalg.norm(exact)
    said = [record.message for record in caplog.records]
    assert sum("converted layers" in line for line in said) == 1
    assert sum("convolutions of layers have 8 bits" in line for line in said) == 1


def test_damaged_8_bits_are_made_again(
    layers: nn.Module, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (picture,) = pictures(1, seed=6)[0]
    before = build(layers, tmp_path, Precision.INT8)(picture)[0]
    (network,) = tmp_path.glob("converted/layers_int8-*/network.xml")
    network.write_text("<net")
    after = build(layers, tmp_path, Precision.INT8, threads=2)(picture)[0]
    assert "the converted layers_int8 is damaged" in caplog.text
    np.testing.assert_allclose(before, after, atol=1e-5)
