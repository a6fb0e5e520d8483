"""How a network is executed on this machine: torch, or OpenVINO on a CPU.

Owns the choice and the one interface that both have: numpy arrays in, numpy arrays out, safe for
concurrent callers. Knows nothing of what the networks compute.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import torch
from numpy.typing import NDArray

from engine.errors import ExecutionError
from engine.runtime_torch import TorchRuntime
from engine.types import Device, Precision

__all__ = ["Backend", "Device", "Precision", "Runtime", "RuntimeOptions", "build_runtime"]

log = logging.getLogger(__name__)


class Backend(StrEnum):
    """What runs it; AUTO is OpenVINO on a CPU where it works, else torch."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """How to execute one network.

    `name` and `weights_digest` (of the checkpoint file) identify the network in `cache_dir`, where
    converted networks are kept for the next start; None keeps nothing. `threads` is per network on
    a CPU, 0 = all cores. `precision` is FP32 or BF16: what AUTO is, is for the caller to try.
    """

    name: str
    weights_digest: str
    cache_dir: Path | None = None
    device: Device = Device.AUTO
    backend: Backend = Backend.AUTO
    precision: Precision = Precision.FP32
    threads: int = 0


class Runtime(Protocol):
    """A network ready to be called, from any number of threads at once."""

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""

    @property
    def backend(self) -> str:
        """`torch` or `openvino`."""

    @property
    def precision(self) -> Precision:
        """FP32 or BF16."""

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """The network's outputs for its inputs, in the module's order, types and shapes.

        Inputs may be read-only and are never written to; outputs belong to the caller.
        """


def build_runtime(
    module: torch.nn.Module,
    example_inputs: tuple[torch.Tensor, ...],
    dynamic_axes: tuple[tuple[int, ...], ...],
    options: RuntimeOptions,
) -> Runtime:
    """Prepare `module` for execution; it must not be changed or used for training afterwards.

    Args:
        module: in eval mode, on the CPU, fp32; takes and returns tensors by position.
        example_inputs: one valid call, small where axes are dynamic, no dynamic axis of length 1.
        dynamic_axes: for each input, the axes whose length varies between calls.
        options: see there.

    Raises:
        ExecutionError: the device or backend asked for by name is not to be had here.
    """
    module = module.eval().requires_grad_(False)
    if len(example_inputs) != len(dynamic_axes):
        raise ValueError("one tuple of dynamic axes is needed for each input")
    on_gpu = runs_on_gpu(options.device)
    if on_gpu and not torch.cuda.is_available():
        raise ExecutionError("torch sees no CUDA device here; set the device to cpu or auto")
    if on_gpu and options.backend is Backend.OPENVINO:
        raise ExecutionError("OpenVINO runs on the CPU only; set the device to cpu or the backend to torch")
    if not on_gpu and options.backend is not Backend.TORCH:
        try:
            # Not at the top: it takes 0.4 s, and a process on a GPU has no use for it.
            from engine.conversion import Source
            from engine.runtime_openvino import build_openvino_runtime

            return build_openvino_runtime(
                Source(module, example_inputs, dynamic_axes, options.name, options.weights_digest),
                cache_dir=options.cache_dir,
                precision=options.precision,
                threads=options.threads,
            )
        except (ImportError, ExecutionError) as error:
            if options.backend is Backend.OPENVINO:
                raise ExecutionError(f"OpenVINO cannot run {options.name}: {error}") from error
            log.warning("OpenVINO cannot run %s (%s); running it in torch, slower", options.name, error)
    device = "cuda" if on_gpu else "cpu"
    return TorchRuntime(module, device, precision=options.precision, threads=options.threads)


def runs_on_gpu(device: Device) -> bool:
    """Whether a network for `device` goes to a GPU here; CUDA does also where there is none, and fails."""
    return device is Device.CUDA or (device is Device.AUTO and torch.cuda.is_available())
