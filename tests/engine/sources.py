"""Networks of the tests, as the engine executes them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from engine.network_source import NetworkSource


def source_of(
    module: nn.Module,
    example: Sequence[np.ndarray],
    dynamic: tuple[tuple[int, ...], ...],
    name: str = "network",
    digest: str = "0",
) -> NetworkSource:
    code = Path(inspect.getfile(type(module)))
    return NetworkSource(name, digest, lambda: module, code, tuple(example), dynamic)
