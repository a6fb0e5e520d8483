"""Execution by OpenVINO on a CPU: a compiled network, called from several threads."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any  # OpenVINO's objects come without types

import numpy as np
from numpy.typing import NDArray

from engine.compilation import open_compiled
from engine.network_source import NetworkSource
from engine.silent_openvino import openvino
from engine.types import Precision


class OpenVinoRuntime:
    """A compiled network and as many requests as it can usefully work on at once."""

    backend = "openvino"
    device = "cpu"

    def __init__(self, compiled: Any, precision: Precision) -> None:
        self.precision = precision
        self._compiled = compiled
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(max(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"), 1)):
            self._idle.put(compiled.create_infer_request())

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """See `engine.runtime.Runtime`."""
        self._check(inputs)
        # A request holds the arrays of the run it is in: one caller at a time has it.
        request = self._idle.get()
        try:
            # Shared: read where they lie (12 MB for a picture), and never written to.
            answer = request.infer([np.ascontiguousarray(array) for array in inputs], share_inputs=True)
            return tuple(np.array(array) for array in answer.values())
        finally:
            self._idle.put(request)

    def _check(self, inputs: tuple[NDArray[Any], ...]) -> None:
        # OpenVINO 2026.4 answers wrong shapes with empty arrays, and missing inputs with the last call's.
        taken = [
            (port.get_element_type().to_dtype(), port.get_partial_shape()) for port in self._compiled.inputs
        ]
        fits = len(inputs) == len(taken) and all(
            array.dtype == dtype and shape.compatible(openvino.PartialShape(list(array.shape)))
            for array, (dtype, shape) in zip(inputs, taken, strict=True)
        )
        if not fits:
            given = ", ".join(f"{array.dtype} {list(array.shape)}" for array in inputs)
            wanted = ", ".join(f"{dtype} {shape}" for dtype, shape in taken)
            raise ValueError(f"the network takes {wanted}, not {given}")


def build_openvino_runtime(
    source: NetworkSource, *, cache_dir: Path | None, precision: Precision, threads: int
) -> OpenVinoRuntime:
    """See `engine.runtime.build_runtime`.

    Raises:
        ExecutionError: OpenVINO cannot convert or compile the network, or answers otherwise than torch.
        CheckpointError: the module cannot be built.
    """
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        # Unless told, OpenVINO computes in bf16 wherever the CPU can; what has 8 bits says so in the model.
        "INFERENCE_PRECISION_HINT": "bf16" if precision.elsewhere is Precision.BF16 else "f32",
        # The replicas of one machine would all be pinned to its first cores.
        "ENABLE_CPU_PINNING": False,
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = open_compiled(source, settings, cache_dir, precision)
    return OpenVinoRuntime(compiled, precision)
