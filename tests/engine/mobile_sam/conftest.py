"""The released layout with seeded values, loaded once."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.mobile_sam.config import MobileSamConfig
from engine.mobile_sam.mask_decoder import MaskDecoderConfig
from engine.mobile_sam.network import MobileSamDecoder, MobileSamEncoder
from engine.mobile_sam.tiny_vit import AttentionStage, TinyVitConfig

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="session")
def eager() -> Callable[[torch.nn.Module], Callable[..., tuple[NDArray, ...]]]:
    """The simplest runtime: a module as a callable from numpy to numpy."""

    def runtime(module: torch.nn.Module) -> Callable[..., tuple[NDArray, ...]]:
        def run(*arrays: NDArray) -> tuple[NDArray, ...]:
            with torch.inference_mode():
                answer = module(*(torch.from_numpy(array) for array in arrays))
            return tuple(tensor.numpy() for tensor in (answer if isinstance(answer, tuple) else (answer,)))

        return run

    return runtime


@pytest.fixture(scope="session")
def seeded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("seeded_weights", GOLDEN / "seeded_weights.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def expected() -> Mapping[str, NDArray]:
    with np.load(GOLDEN / "portable_mobile_sam.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="session")
def tensors(seeded: ModuleType, expected: Mapping[str, NDArray]) -> dict[str, torch.Tensor]:
    state = seeded.seeded_state_dict(GOLDEN / "mobile_sam_layout.json", int(expected["seed"]))
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}


@pytest.fixture(scope="session")
def encoder(tensors: dict[str, torch.Tensor]) -> MobileSamEncoder:
    return MobileSamEncoder.from_tensors(tensors, {})


@pytest.fixture(scope="session")
def decoder(tensors: dict[str, torch.Tensor]) -> MobileSamDecoder:
    return MobileSamDecoder.from_tensors(tensors, {})


SMALL = MobileSamConfig(
    image_size=160,
    encoder=TinyVitConfig(
        stem_dim=8,
        conv_dim=12,
        conv_depth=1,
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
SMALL_METADATA = {"image_size": "160", "num_heads": "4"}


@pytest.fixture(scope="session")
def small_config() -> MobileSamConfig:
    """Another width, depth and frame than the released network's."""
    return SMALL


@pytest.fixture(scope="session")
def small_metadata() -> dict[str, str]:
    return SMALL_METADATA


@pytest.fixture(scope="session")
def small_tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {**MobileSamEncoder(SMALL).state_dict(), **MobileSamDecoder(SMALL).state_dict()}


@pytest.fixture(scope="session")
def small_encoder(small_tensors: dict[str, torch.Tensor]) -> MobileSamEncoder:
    return MobileSamEncoder.from_tensors(small_tensors, SMALL_METADATA)


@pytest.fixture(scope="session")
def small_decoder(small_tensors: dict[str, torch.Tensor]) -> MobileSamDecoder:
    return MobileSamDecoder.from_tensors(small_tensors, SMALL_METADATA)
