"""Networks of the tests, as the engine executes them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.network_source import NetworkSource
from engine.silent_openvino import openvino


def source_of(
    module: nn.Module,
    example: Sequence[np.ndarray],
    dynamic: tuple[tuple[int, ...], ...],
    name: str = "network",
    digest: str = "0",
) -> NetworkSource:
    code = Path(inspect.getfile(type(module)))
    return NetworkSource(name, digest, lambda: module, code, tuple(example), dynamic)


def model_of_pictures(module: nn.Module, example: Tensor) -> Any:
    """A module of one picture [B, 3, H, W] as an `openvino.Model` for any B, H and W, not rewritten."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, example, check_trace=False)
        shape = openvino.PartialShape([-1, 3, -1, -1])
        return openvino.convert_model(traced, example_input=example, input=[shape])


def compiled_exactly(model: Any) -> Any:
    """A model for the CPU, what is fp32 in it executed in fp32."""
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
