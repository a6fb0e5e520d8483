"""Execution by torch itself, on a GPU or a CPU."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import GpuOutOfMemoryError
from engine.types import Precision

log = logging.getLogger(__name__)


class TorchRuntime:
    """A module called eagerly; stateless, so concurrent callers do not meet.

    BF16 is bfloat16 where autocast allows it. `threads` sets torch's threads for the
    whole process, 0 leaves them. A batch that the card has no room for is done in halves.
    """

    backend = "torch"

    def __init__(self, module: torch.nn.Module, device: str, *, precision: Precision, threads: int) -> None:
        if device == "cpu" and threads:
            torch.set_num_threads(threads)
        self.device = device
        self._module = module.to(device)
        self.precision = precision

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """See `engine.runtime.Runtime`.

        Raises:
            GpuOutOfMemoryError: the card has no room even for a batch of one.
        """
        try:
            return self._run(*inputs)
        except torch.OutOfMemoryError as error:
            batch = inputs[0].shape[0]
            if batch < 2 or any(one.shape[0] != batch for one in inputs):
                raise GpuOutOfMemoryError(
                    "out of memory on the GPU; lower INPAINT_SIZES or MAX_OBJECTS, or raise the stage's "
                    "share of the card: ENCODER_GPU, DECODER_GPU, INPAINTER_GPU"
                ) from error
        # Outside of the handler, whose traceback still holds the tensors that did not fit.
        if self.device != "cpu":
            torch.cuda.empty_cache()
        log.warning("no room on the GPU for a batch of %d, doing it in halves", batch)
        halves = [self(*(one[part] for one in inputs)) for part in (np.s_[: batch // 2], np.s_[batch // 2 :])]
        return tuple(np.concatenate(parts) for parts in zip(*halves, strict=True))

    def _run(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        with (
            torch.inference_mode(),
            torch.autocast(self.device, torch.bfloat16, enabled=self.precision is Precision.BF16),
        ):
            answer = self._module(*(_as_tensor(array).to(self.device) for array in inputs))
            outputs = answer if isinstance(answer, tuple) else (answer,)
            return tuple(_as_array(tensor) for tensor in outputs)


def _as_tensor(array: NDArray[Any]) -> torch.Tensor:
    # torch refuses to promise that it will not write, so it warns of read-only arrays: those are copied.
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _as_array(tensor: torch.Tensor) -> NDArray[Any]:
    exact = tensor.float() if tensor.is_floating_point() else tensor
    return exact.cpu().numpy()
