"""Torch modules as OpenVINO models.

Owns tracing, and the check that a conversion answers as its module does. Where conversions are kept is
`kept_models.py`, how they are compiled `compilation.py`, how they run `runtime_openvino.py`. Imports torch
only to convert.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any  # openvino.Model and openvino.Core come without types

import numpy as np

from engine.errors import ExecutionError
from engine.fourier_products import replace_transforms
from engine.network_source import NetworkSource
from engine.quantization import quantize
from engine.silent_openvino import openvino
from engine.types import Precision

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

# A wrong conversion is wrong by far, while some networks make 1e-2 of the last bits of fp32.
_LARGEST_DIFFERENCE = 0.05

# Of the wide convolutions, the last, which stay out of 8 bits where all else is in bf16: the two errors add
# up, and what the last ones round is in the answer as it is.
_EXACT_SHARE = 1 / 6


def last_line(error: Exception) -> str:
    """The end of an error's text, where OpenVINO says what is the matter."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


def convert(core: Any, source: NetworkSource) -> Any:
    """The network as an `openvino.Model`, kept nowhere.

    Raises:
        CheckpointError: the module cannot be built.
        ExecutionError: OpenVINO cannot express the network, or answers otherwise than torch.
    """
    import torch

    started = time.monotonic()
    shapes = [
        openvino.PartialShape([-1 if axis in axes else length for axis, length in enumerate(array.shape)])
        for array, axes in zip(source.example_inputs, source.dynamic_axes, strict=True)
    ]
    module = source.load().eval().requires_grad_(False)
    inputs = tuple(torch.from_numpy(array) for array in source.example_inputs)
    try:
        with warnings.catch_warnings(), _root_logger_kept(), torch.no_grad():
            # Tracing is deprecated in favour of torch.export, which takes 3 to 9 times as long for our
            # networks and leaves Fourier transforms unconverted (torch 2.13, OpenVINO 2026.4).
            warnings.simplefilter("ignore")
            traced, expected = _trace(module, inputs)
            model = openvino.convert_model(traced, example_input=inputs, input=shapes)
        replace_transforms(model)
        difference = _difference(core, model, inputs, expected)
    except Exception as error:  # of whatever kind: foreign code looked at a network it does not know
        raise ExecutionError(last_line(error)) from error
    if not difference < _LARGEST_DIFFERENCE:
        raise ExecutionError(f"its answers differ from torch's by {difference:.2%}")
    log.info("converted %s for OpenVINO in %.1f s", source.name, time.monotonic() - started)
    return model


def convert_to_8_bits(core: Any, source: NetworkSource, model: Any, precision: Precision) -> Any:
    """`model`, the network's conversion, with its wide convolutions in 8 bits; changed in place.

    `precision`: one that has 8 bits; what it has elsewhere decides which of them.

    Raises:
        ExecutionError: OpenVINO cannot run the examples, or there are none.
    """
    if source.calibration is None:
        raise ExecutionError(f"there are no examples to choose steps of 8 bits for {source.name} by")
    started = time.monotonic()
    exact_share = _EXACT_SHARE if precision.elsewhere is Precision.BF16 else 0.0
    try:
        done = quantize(core, model, source.calibration(), exact_share)
    except RuntimeError as error:
        raise ExecutionError(last_line(error)) from error
    log.info("%d convolutions of %s have 8 bits after %.1f s", done, source.name, time.monotonic() - started)
    return model


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """A failing `convert_model` leaves the whole process's logging at level ERROR."""
    root = logging.getLogger()
    level, filters, handlers = root.level, root.filters[:], root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:], root.handlers[:] = filters, handlers


def _trace(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[Any, tuple[torch.Tensor, ...]]:
    """The traced module, and what the module answered while it was traced: a run of it is saved."""
    import torch

    answers: list[torch.Tensor | tuple[torch.Tensor, ...]] = []
    hook = module.register_forward_hook(lambda module, inputs, answer: answers.append(answer))
    threads = torch.get_num_threads()
    try:
        # Replicas start together, and torch's threads wait for each other by spinning: on two cores with
        # three starts at a time, tracing took 90 s with two threads that takes 5 s with one.
        torch.set_num_threads(1)
        traced = torch.jit.trace(module, inputs, check_trace=False)  # type: ignore[no-untyped-call]
    finally:
        torch.set_num_threads(threads)
        hook.remove()
    answer = answers[-1]
    return traced, answer if isinstance(answer, tuple) else (answer,)


def _difference(
    core: Any, model: Any, inputs: tuple[torch.Tensor, ...], expected: tuple[torch.Tensor, ...]
) -> float:
    """Largest relative L2 difference of the model's answers."""
    compiled = core.compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
    )
    answers = compiled([tensor.numpy() for tensor in inputs]).values()
    differences = [
        float(np.linalg.norm(answer - wanted.numpy()) / max(float(wanted.float().norm()), 1e-12))
        for answer, wanted in zip(answers, expected, strict=True)
    ]
    return float(np.max(differences))
