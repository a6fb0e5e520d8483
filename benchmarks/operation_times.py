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


@contextmanager
def counted_operations() -> Iterator[list[Any]]:
    """Networks that are compiled in this context count; their requests are in the list, newest last."""
    requests: list[Any] = []
    compile_model = openvino.Core.compile_model
    create_request = openvino.CompiledModel.create_infer_request

    def counting(core: Any, model: Any, device: str, settings: dict[str, Any]) -> Any:
        return compile_model(core, model, device, {**settings, "PERF_COUNT": True})

    def remembered(compiled: Any) -> Any:
        requests.append(create_request(compiled))
        return requests[-1]

    with (
        patch.object(openvino.Core, "compile_model", counting),
        patch.object(compilation, "_LARGEST_KEPT_BYTES", 0),  # what was kept compiled does not count
        patch.object(openvino.CompiledModel, "create_infer_request", remembered),
    ):
        yield requests


def shares_by_kind(requests: list[Any]) -> str:
    """Of the last run of the newest request that ran: `Convolution 60 %, MatMul 20 %, ...`; or nothing."""
    for request in reversed(requests):
        times: Counter[str] = Counter()
        for node in request.profiling_info:
            times[node.node_type] += node.real_time.total_seconds()
        total = sum(times.values())
        if total:
            return ", ".join(f"{kind} {spent / total:.0%}" for kind, spent in times.most_common(SHOWN))
    return ""
