"""Which operations the benchmark says that a network spent its time on."""

from __future__ import annotations

import numpy as np
from torch import nn

from benchmarks.operation_times import counted_operations
from engine.runtime import Backend, Runtime, RuntimeOptions, build_runtime
from tests.engine.sources import source_of


def _built(module: nn.Module, example: np.ndarray) -> Runtime:
    return build_runtime(source_of(module, (example,), ((),)), RuntimeOptions(backend=Backend.OPENVINO))


def test_what_is_told_is_of_the_network_that_ran_last_whatever_was_built_after_it() -> None:
    pixels = np.ones((1, 3, 64, 64), np.float32)
    with counted_operations() as times:
        assert times.shares_by_kind() == ""
        convolution = _built(nn.Conv2d(3, 32, 3), pixels)
        _built(nn.MaxPool2d(2), pixels)(pixels)
        assert "MaxPool" in times.shares_by_kind()
        convolution(pixels)
        assert "Convolution" in times.shares_by_kind()
        assert "MaxPool" not in times.shares_by_kind()
