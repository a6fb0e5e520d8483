"""Which kinds of operation a network's time goes to, as OpenVINO counts it.

Owns the switching on of its counters in this process. Networks in torch are not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any  # OpenVINO's objects come without types
from unittest.mock import patch

from engine import compilation
from engine.silent_openvino import openvino

SHOWN = 5


class OperationTimes:
    """Of the request that ran last."""

    def __init__(self) -> None:
        self.newest_run: Any = None

    def shares_by_kind(self) -> str:
        """Of its last run: `Convolution 60 %, MatMul 20 %, ...`; nothing where nothing ran."""
        times: Counter[str] = Counter()
        for node in self.newest_run.profiling_info if self.newest_run else ():
            times[node.node_type] += node.real_time.total_seconds()
        total = sum(times.values()) or 1.0
        return ", ".join(f"{kind} {spent / total:.0%}" for kind, spent in times.most_common(SHOWN))


@contextmanager
def counted_operations() -> Iterator[OperationTimes]:
    """Networks that are compiled in this context count."""
    seen = OperationTimes()
    compile_model = openvino.Core.compile_model
    infer = openvino.InferRequest.infer

    def counting(core: Any, model: Any, device: str, settings: dict[str, Any]) -> Any:
        return compile_model(core, model, device, {**settings, "PERF_COUNT": True})

    def remembered(request: Any, *arguments: Any, **options: Any) -> Any:
        # Not the newest request that was made: the guard of a network's precision makes some of others.
        seen.newest_run = request
        return infer(request, *arguments, **options)

    with (
        patch.object(openvino.Core, "compile_model", counting),
        patch.object(compilation, "_LARGEST_KEPT_BYTES", 0),  # what was kept compiled does not count
        patch.object(openvino.InferRequest, "infer", remembered),
    ):
        yield seen
