"""Eager torch, OpenVINO, and batches of either: one network, one answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engine.checkpoints import Checkpoint, NetworkName, find_checkpoint
from engine.lama.network import LamaConfig, LamaNetwork, Output, Prefill
from engine.mobile_sam.config import MobileSamConfig
from engine.mobile_sam.mask_decoder import MaskDecoderConfig
from engine.mobile_sam.network import MobileSamDecoder, MobileSamEncoder
from engine.mobile_sam.tiny_vit import AttentionStage, TinyVitConfig
from engine.runtime import Backend, Device, Runtime, RuntimeOptions, build_runtime
from tests.engine.sources import source_of

Arrays = tuple[np.ndarray, ...]
TOLERANCE = 1e-4

SMALL_SAM = MobileSamConfig(
    image_size=160,
    encoder=TinyVitConfig(
        stem_dim=8,
        conv_dim=12,
        conv_depth=2,
        conv_hidden=24,
        stages=(
            AttentionStage(dim=16, depth=1, heads=2, window=7, hidden=32),
            AttentionStage(dim=24, depth=2, heads=3, window=14, hidden=48),
            AttentionStage(dim=32, depth=1, heads=4, window=7, hidden=40),
        ),
        out_dim=32,
    ),
    decoder=MaskDecoderConfig(
        dim=32,
        depth=2,
        heads=4,
        cross_dim=16,
        hidden=64,
        num_masks=4,
        upscale_dims=(8, 4),
        iou_hidden=24,
        iou_depth=3,
    ),
)
SMALL_LAMA = LamaConfig(width=8, downsamplings=3, blocks=2, local_channels=8, global_channels=24)
LAMAS = {
    "released kind": SMALL_LAMA,
    "pyramid": replace(SMALL_LAMA, prefill=Prefill.PYRAMID, output=Output.RESIDUAL),
    "shift": replace(SMALL_LAMA, prefill=Prefill.SHIFT, output=Output.RESIDUAL),
}


def with_statistics(module: nn.Module) -> nn.Module:
    """Batch norms that do something: fresh ones pass everything through."""
    generator = torch.Generator().manual_seed(1)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = 0.1 * torch.randn(layer.num_features, generator=generator)
            layer.running_var = 0.5 + torch.rand(layer.num_features, generator=generator)
    return module.eval()


def both(module: nn.Module, example: Arrays, dynamic: tuple[tuple[int, ...], ...]) -> tuple[Runtime, Runtime]:
    """The module in torch and in OpenVINO."""

    def build(backend: Backend) -> Runtime:
        options = RuntimeOptions(device=Device.CPU, backend=backend, threads=1)
        return build_runtime(source_of(module, example, dynamic), options)

    return build(Backend.TORCH), build(Backend.OPENVINO)


def assert_agree(answers: Arrays, wanted: Arrays) -> None:
    for answer, array in zip(answers, wanted, strict=True):
        assert answer.shape == array.shape
        assert np.linalg.norm(answer - array) <= TOLERANCE * np.linalg.norm(array)


def assert_rows_alone_agree(run: Runtime, inputs: Arrays) -> None:
    """Each row of a batch gets the answer that it gets alone."""
    together = run(*inputs)
    for row in range(len(inputs[0])):
        assert_agree(
            run(*(array[row : row + 1] for array in inputs)), tuple(a[row : row + 1] for a in together)
        )


def pixels(batch: int, side: int) -> Arrays:
    return (np.random.default_rng(batch).standard_normal((batch, 3, side, side), dtype=np.float32),)


def prompts(batch: int, points: int, config: MobileSamConfig, filler: bool = True) -> Arrays:
    rng = np.random.default_rng([batch, points])
    shape = (batch, config.decoder.dim, config.grid, config.grid)
    labels = rng.integers(0, 2, (batch, points))
    labels[:, -1] = -1
    if filler and points > 2:
        labels[0, 1] = -2
    places = rng.uniform(0, config.image_size, (batch, points, 2)).astype(np.float32)
    return rng.standard_normal(shape, dtype=np.float32), places, labels


def picture(batch: int, height: int, width: int) -> Arrays:
    rng = np.random.default_rng([batch, height, width])
    y, x = np.mgrid[0:height, 0:width] / 16
    colours = 0.5 + 0.3 * np.sin(x + rng.uniform(1, 3, (batch, 3, 1, 1)) * y)
    colours = colours + 0.1 * rng.standard_normal(colours.shape)
    hole = np.zeros((batch, 1, height, width), np.float32)
    for row in range(batch):
        hole[row, :, 8 + row : height // 2, 10 : width // 2 + row] = 1
    return np.clip(colours, 0, 1).astype(np.float32), hole


@pytest.fixture(scope="module")
def encoder() -> tuple[Runtime, Runtime]:
    torch.manual_seed(0)
    return both(with_statistics(MobileSamEncoder(SMALL_SAM)), pixels(2, 160), ((0,),))


@pytest.fixture(scope="module")
def decoder() -> tuple[Runtime, Runtime]:
    torch.manual_seed(0)
    return both(
        with_statistics(MobileSamDecoder(SMALL_SAM)), prompts(2, 3, SMALL_SAM), ((0,), (0, 1), (0, 1))
    )


@pytest.fixture(scope="module", params=LAMAS)
def lama(request: pytest.FixtureRequest) -> tuple[Runtime, Runtime]:
    torch.manual_seed(0)
    return both(
        with_statistics(LamaNetwork(LAMAS[request.param])), picture(2, 64, 64), ((0, 2, 3), (0, 2, 3))
    )


@pytest.mark.parametrize("batch", [1, 3])
def test_the_encoder_agrees_in_torch_and_openvino(encoder: tuple[Runtime, Runtime], batch: int) -> None:
    eager, converted = encoder
    assert_agree(converted(*pixels(batch, 160)), eager(*pixels(batch, 160)))


def test_pictures_encoded_together_or_alone_agree(encoder: tuple[Runtime, Runtime]) -> None:
    for run in encoder:
        assert_rows_alone_agree(run, pixels(2, 160))


@pytest.mark.parametrize(("batch", "points"), [(1, 2), (1, 1), (5, 9)])
def test_the_decoder_agrees_in_torch_and_openvino(
    decoder: tuple[Runtime, Runtime], batch: int, points: int
) -> None:
    eager, converted = decoder
    inputs = prompts(batch, points, SMALL_SAM)
    assert_agree(converted(*inputs), eager(*inputs))


def test_prompts_decoded_together_or_alone_agree(decoder: tuple[Runtime, Runtime]) -> None:
    for run in decoder:
        assert_rows_alone_agree(run, prompts(4, 3, SMALL_SAM))


def test_filler_points_change_nothing_in_openvino(decoder: tuple[Runtime, Runtime]) -> None:
    _, converted = decoder
    embeddings, places, labels = prompts(3, 2, SMALL_SAM)
    padded_places = np.concatenate([places, np.full((3, 4, 2), 7, np.float32)], axis=1)
    padded_labels = np.concatenate([labels, np.full((3, 4), -2)], axis=1)
    assert_agree(converted(embeddings, padded_places, padded_labels), converted(embeddings, places, labels))


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 64, 64), (2, 64, 96), (1, 136, 40)])
def test_lama_agrees_in_torch_and_openvino(
    lama: tuple[Runtime, Runtime], batch: int, height: int, width: int
) -> None:
    eager, converted = lama
    inputs = picture(batch, height, width)
    (fill,) = converted(*inputs)
    assert_agree((fill,), eager(*inputs))
    kept = np.broadcast_to(inputs[1] == 0, fill.shape)
    np.testing.assert_array_equal(fill[kept], inputs[0][kept])


def test_pictures_filled_together_or_alone_agree(lama: tuple[Runtime, Runtime]) -> None:
    for run in lama:
        assert_rows_alone_agree(run, picture(2, 64, 64))


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[NetworkName], Checkpoint]:
    folder: Path = tmp_path_factory.mktemp("cache")

    def load(network: NetworkName) -> Checkpoint:
        return find_checkpoint(network, configured=None, cache_dir=folder, allow_download=False).read()

    return load


def test_the_bundled_mobile_sam_agrees_in_torch_and_openvino(
    bundled: Callable[[NetworkName], Checkpoint],
) -> None:
    checkpoint = bundled(NetworkName.MOBILE_SAM)
    config = MobileSamConfig.from_tensors(checkpoint.tensors, checkpoint.metadata)
    encoder = MobileSamEncoder.from_tensors(checkpoint.tensors, checkpoint.metadata)
    side = config.image_size
    eager, converted = both(encoder, pixels(1, side), ((0,),))
    (wanted,) = eager(*pixels(2, side))
    assert_agree(converted(*pixels(2, side)), (wanted,))

    decoder = MobileSamDecoder.from_tensors(checkpoint.tensors, checkpoint.metadata)
    eager, converted = both(decoder, prompts(2, 3, config), ((0,), (0, 1), (0, 1)))
    _, places, labels = prompts(2, 3, config)
    assert_agree(converted(wanted, places, labels), eager(wanted, places, labels))


def test_the_bundled_lama_agrees_in_torch_and_openvino(bundled: Callable[[NetworkName], Checkpoint]) -> None:
    checkpoint = bundled(NetworkName.LAMA)
    network = LamaNetwork.load(checkpoint.tensors, checkpoint.metadata)
    eager, converted = both(network, picture(2, 64, 64), ((0, 2, 3), (0, 2, 3)))
    for inputs in (picture(1, 64, 64), picture(2, 128, 128)):
        assert_agree(converted(*inputs), eager(*inputs))
