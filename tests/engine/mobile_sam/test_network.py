"""Loading, batching and exporting, at a small width."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.errors import CheckpointError
from engine.mobile_sam.config import MobileSamConfig
from engine.mobile_sam.network import MobileSamDecoder, MobileSamEncoder

Runtime = Callable[[torch.nn.Module], Callable[..., tuple[NDArray, ...]]]
Tensors = dict[str, torch.Tensor]


def test_sizes_are_read_from_tensors_and_metadata(
    small_tensors: Tensors, small_metadata: dict[str, str], small_config: MobileSamConfig
) -> None:
    assert MobileSamConfig.from_tensors(small_tensors, small_metadata) == small_config


def test_released_sizes_are_the_defaults(tensors: Tensors) -> None:
    config = MobileSamConfig.from_tensors(tensors, {})
    assert (config.image_size, config.grid, config.decoder.heads) == (1024, 64, 8)
    assert [(stage.dim, stage.depth, stage.heads, stage.window) for stage in config.encoder.stages] == [
        (128, 2, 4, 7),
        (160, 6, 5, 14),
        (320, 2, 10, 7),
    ]


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({"image_size": "1000"}, "image_size 1000"),
        ({"image_size": "-16"}, "image_size"),
        ({"num_heads": "many"}, "num_heads"),
        ({"first_mask": "last"}, "first_mask"),
        ({"closer_look": "near"}, "closer_look"),
        ({"closer_look": "0.5"}, "closer_look"),
        ({"num_heads": "5"}, "num_heads 5 does not divide"),
    ],
)
def test_impossible_metadata_is_refused_by_name(
    metadata: dict[str, str], complaint: str, small_tensors: Tensors
) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        MobileSamConfig.from_tensors(small_tensors, metadata)


@pytest.mark.parametrize("network", [MobileSamEncoder, MobileSamDecoder])
def test_half_precision_checkpoint_loads_as_float32(
    network: type[MobileSamEncoder] | type[MobileSamDecoder],
    small_tensors: Tensors,
    small_metadata: dict[str, str],
) -> None:
    halves = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in small_tensors.items()
    }
    loaded = network.from_tensors(halves, small_metadata)
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    for name, value in loaded.named_parameters():
        torch.testing.assert_close(value.detach(), halves[name].float(), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["mask_decoder.iou_token.weight", "image_encoder.neck.2.weight"])
def test_missing_tensor_is_named(name: str, small_tensors: Tensors, small_metadata: dict[str, str]) -> None:
    tensors = {key: value for key, value in small_tensors.items() if key != name}
    with pytest.raises(CheckpointError, match=name):
        MobileSamEncoder.from_tensors(tensors, small_metadata)
        MobileSamDecoder.from_tensors(tensors, small_metadata)


@pytest.mark.parametrize("name", ["mask_decoder.surprise", "image_encoder.layers.4.bias", "optimizer.step"])
def test_unexpected_tensor_is_named(
    name: str, small_tensors: Tensors, small_metadata: dict[str, str]
) -> None:
    tensors = {**small_tensors, name: torch.zeros(1)}
    with pytest.raises(CheckpointError, match=name):
        MobileSamEncoder.from_tensors(tensors, small_metadata)
        MobileSamDecoder.from_tensors(tensors, small_metadata)


def test_tensor_of_another_shape_is_named(small_tensors: Tensors, small_metadata: dict[str, str]) -> None:
    name = "image_encoder.neck.2.weight"
    tensors = {**small_tensors, name: torch.zeros(32, 32, 1, 1)}
    with pytest.raises(CheckpointError, match=name):
        MobileSamEncoder.from_tensors(tensors, small_metadata)


def test_foreign_tensors_are_no_checkpoint() -> None:
    with pytest.raises(CheckpointError, match="not a MobileSAM checkpoint"):
        MobileSamConfig.from_tensors({"weight": torch.zeros(3)}, {})


def test_pictures_encode_in_a_batch_as_alone(eager: Runtime, small_encoder: MobileSamEncoder) -> None:
    encode = eager(copy.deepcopy(small_encoder).double())
    pixels = np.random.default_rng(0).standard_normal((3, 3, 160, 160))
    (together,) = encode(pixels)
    for row in range(3):
        np.testing.assert_allclose(together[row], encode(pixels[row : row + 1])[0][0], atol=1e-10)


def test_prompts_of_several_pictures_and_lengths_decode_as_alone(
    eager: Runtime, small_decoder: MobileSamDecoder
) -> None:
    decode = eager(copy.deepcopy(small_decoder).double())
    rng = np.random.default_rng(0)
    features = rng.standard_normal((4, 32, 10, 10))
    points = rng.uniform(0, 160, (4, 5, 2))
    labels = np.array([[1, -1, -2, -2, -2], [1, 0, 1, 0, -1], [2, 3, -2, -2, -2], [1, 2, 3, -2, -2]])
    logits, iou = decode(features, points, labels)
    for row, length in enumerate((2, 5, 2, 3)):
        alone = decode(
            features[row : row + 1], points[row : row + 1, :length], labels[row : row + 1, :length]
        )
        np.testing.assert_allclose(logits[row], alone[0][0], atol=1e-10)
        np.testing.assert_allclose(iou[row], alone[1][0], atol=1e-10)


@pytest.fixture(scope="module")
def exported_encoder(small_encoder: MobileSamEncoder) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1, max=64)
    return torch.export.export(
        small_encoder, (torch.randn(2, 3, 160, 160),), dynamic_shapes={"pixels": {0: batch}}
    )


@pytest.fixture(scope="module")
def exported_decoder(small_decoder: MobileSamDecoder) -> torch.export.ExportedProgram:
    batch, count = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("count", min=1, max=64)
    dynamic = {"embeddings": {0: batch}, "points": {0: batch, 1: count}, "labels": {0: batch, 1: count}}
    example = torch.randn(2, 32, 10, 10), 160 * torch.rand(2, 3, 2), torch.tensor([[1, 0, -1], [2, 3, -2]])
    return torch.export.export(small_decoder, example, dynamic_shapes=dynamic)


def decoder_arguments(labels: list[list[int]]) -> tuple[NDArray, NDArray, NDArray]:
    rng = np.random.default_rng(0)
    kinds = np.array(labels, np.int64)
    features = rng.standard_normal((len(kinds), 32, 10, 10), np.float32)
    return features, rng.uniform(0, 160, (*kinds.shape, 2)).astype(np.float32), kinds


PROMPT_BATCHES = [[[1, -1]], [[1, 0, 1, -1], [2, 3, -2, -2], [1, -1, -2, -2]]]


@pytest.mark.parametrize("rows", [1, 3])
def test_exported_encoder_agrees_at_any_batch(
    rows: int, eager: Runtime, small_encoder: MobileSamEncoder, exported_encoder: torch.export.ExportedProgram
) -> None:
    frames = np.random.default_rng(0).standard_normal((rows, 3, 160, 160), np.float32)
    (answer,) = eager(exported_encoder.module())(frames)
    np.testing.assert_allclose(answer, eager(small_encoder)(frames)[0], atol=1e-4)


@pytest.mark.parametrize("labels", PROMPT_BATCHES)
def test_exported_decoder_agrees_at_any_batch_and_number_of_points(
    labels: list[list[int]],
    eager: Runtime,
    small_decoder: MobileSamDecoder,
    exported_decoder: torch.export.ExportedProgram,
) -> None:
    arguments = decoder_arguments(labels)
    for answer, reference in zip(
        eager(exported_decoder.module())(*arguments), eager(small_decoder)(*arguments), strict=True
    ):
        np.testing.assert_allclose(answer, reference, atol=1e-3)


# OpenVINO copies the exported graph, whose pieces torch 2.13 deprecates.
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_openvino_agrees_at_any_batch_and_number_of_points(
    eager: Runtime,
    small_encoder: MobileSamEncoder,
    small_decoder: MobileSamDecoder,
    exported_encoder: torch.export.ExportedProgram,
    exported_decoder: torch.export.ExportedProgram,
) -> None:
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    encode = core.compile_model(openvino.convert_model(exported_encoder), "CPU", exact)
    for rows in (1, 3):
        frames = np.random.default_rng(0).standard_normal((rows, 3, 160, 160), np.float32)
        np.testing.assert_allclose(encode([frames])[0], eager(small_encoder)(frames)[0], atol=1e-3)
    decode = core.compile_model(openvino.convert_model(exported_decoder), "CPU", exact)
    for labels in PROMPT_BATCHES:
        arguments = decoder_arguments(labels)
        for index, reference in enumerate(eager(small_decoder)(*arguments)):
            np.testing.assert_allclose(decode(list(arguments))[index], reference, atol=1e-3)
