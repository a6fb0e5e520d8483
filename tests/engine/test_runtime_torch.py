"""A card that has no room: batches are done in halves, and an error says what to lower."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deployments.stage_errors import judge
from engine.errors import GpuOutOfMemoryError
from engine.runtime_torch import TorchRuntime
from engine.types import Precision


class Crowded(torch.nn.Module):
    """Doubles and sums, but has room for `most` rows only; raises what torch raises on a full card."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.batches = most, []

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if x.shape[0] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.batches.append(x.shape[0])
        return 2 * x, (x + y).sum(dim=1)


def runtime(most: int) -> tuple[TorchRuntime, Crowded]:
    module = Crowded(most)
    return TorchRuntime(module, "cpu", precision=Precision.FP32, threads=0), module


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_a_batch_without_room_is_done_in_parts_with_the_same_answer(most: int) -> None:
    x, y = np.random.default_rng(0).random((2, 7, 3)).astype(np.float32)
    run, module = runtime(most)
    doubled, sums = run(x, y)
    assert np.array_equal(doubled, 2 * x)
    assert np.allclose(sums, (x + y).sum(axis=1))
    assert sum(module.batches) == 7 and max(module.batches) <= most


def test_no_room_for_one_says_which_setting_to_lower() -> None:
    run, _ = runtime(0)
    with pytest.raises(GpuOutOfMemoryError, match="INPAINT_SIZES") as refused:
        run(np.ones((4, 3), np.float32), np.ones((4, 3), np.float32))
    verdict = judge(refused.value)
    assert verdict.passing and "INPAINTER_GPU" in verdict.message
