"""How a network is executed on this machine: torch, or OpenVINO on a CPU.

Owns the choice and the one interface that both have: numpy arrays in, numpy arrays out, safe for
concurrent callers. Knows nothing of what the networks compute. Imports torch only where it is needed.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from engine.errors import ExecutionError
from engine.network_source import NetworkSource
from engine.types import Device, Precision

__all__ = ["Backend", "Device", "Precision", "Runtime", "RuntimeOptions", "build_runtime"]

log = logging.getLogger(__name__)

# What Linux has where a driver has found a card: NVIDIA's (nvmap: its boards), WSL's, AMD's.
_GPU_NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-caps", "/dev/nvmap", "/dev/dxg", "/dev/kfd")


class Backend(StrEnum):
    """What runs it; AUTO is OpenVINO on a CPU where it works, else torch."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """How to execute a network.

    Converted and compiled networks are kept in `cache_dir` for the next start; None keeps nothing.
    `threads` is per network on a CPU, 0 = all cores. `precision` is not AUTO: what that is, is for the
    caller to try. INT8 is OpenVINO's; torch computes in FP32 instead.
    """

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
        """FP32, BF16 or INT8."""

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """The network's outputs for its inputs, in the module's order, types and shapes.

        Inputs may be read-only and are never written to; outputs belong to the caller.
        """


def build_runtime(source: NetworkSource, options: RuntimeOptions) -> Runtime:
    """Prepare a network for execution.

    Raises:
        CheckpointError: the module cannot be built.
        ExecutionError: the device or backend asked for by name is not to be had here.
    """
    on_gpu = runs_on_gpu(options.device)
    if on_gpu and not _torch_sees_a_gpu():
        raise ExecutionError("torch sees no CUDA device here; set the device to cpu or auto")
    if on_gpu and options.backend is Backend.OPENVINO:
        raise ExecutionError("OpenVINO runs on the CPU only; set the device to cpu or the backend to torch")
    if not on_gpu and options.backend is not Backend.TORCH:
        try:
            # Not at the top: a process on a GPU has no use for it.
            from engine.runtime_openvino import build_openvino_runtime

            return build_openvino_runtime(
                source, cache_dir=options.cache_dir, precision=options.precision, threads=options.threads
            )
        except (ImportError, ExecutionError) as error:
            if options.backend is Backend.OPENVINO:
                raise ExecutionError(f"OpenVINO cannot run {source.name}: {error}") from error
            log.warning("OpenVINO cannot run %s (%s); running it in torch, slower", source.name, error)
    from engine.runtime_torch import TorchRuntime

    module = source.load().eval().requires_grad_(False)
    device = "cuda" if on_gpu else "cpu"
    return TorchRuntime(module, device, precision=options.precision.elsewhere, threads=options.threads)


def runs_on_gpu(device: Device) -> bool:
    """Whether a network for `device` goes to a GPU here; CUDA does also where there is none, and fails."""
    return device is Device.CUDA or (device is Device.AUTO and _torch_sees_a_gpu())


def _torch_sees_a_gpu() -> bool:
    if "torch" not in sys.modules and not _may_have_a_gpu():
        return False
    import torch

    return torch.cuda.is_available()


def _may_have_a_gpu() -> bool:
    """False where certainly none is to be had, which needs no torch to be said."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == ""  # as a replica does that was given no share of one
    return not hidden and (
        not sys.platform.startswith("linux") or any(Path(node).exists() for node in _GPU_NODES)
    )
