"""`python -m trials.hop`: what it costs that two stages lie on different nodes.

Owns three small stages on a cluster of local nodes and their timing: a caller passes what a giver makes (an
embedding's 2 MiB) on to a taker, as the job runner does. All nodes are processes of this machine, so that
what a network adds is not in the figures.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from trials.cluster import running_nodes
from trials.service import ROOT, free_port, wait_for_health

CALLS = 150
SHAPE = (256, 64, 64)  # of an embedding, fp16: 2 MiB
ONE_A_NODE = {"num_replicas": 2, "max_replicas_per_node": 1, "ray_actor_options": {"num_cpus": 0.1}}


def _here() -> str:
    return str(ray.get_runtime_context().get_node_id())


@serve.deployment(**ONE_A_NODE)
class Giver:
    """Makes an array."""

    async def give(self) -> tuple[str, np.ndarray[Any, Any]]:
        """Where it was made, and an embedding's bytes."""
        return _here(), np.ones(SHAPE, np.float16)


@serve.deployment(**ONE_A_NODE)
class Taker:
    """Takes an array."""

    async def take(self, given: tuple[str, np.ndarray[Any, Any]]) -> tuple[str, str]:
        """Where it came from and where it is."""
        origin, array = given
        assert array.shape == SHAPE
        return origin, _here()


@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Caller:
    """Calls the two, one call after the other."""

    def __init__(self, giver: DeploymentHandle, taker: DeploymentHandle) -> None:
        self._giver, self._taker = giver, taker

    async def __call__(self, request: Any) -> dict[str, list[float]]:
        """Milliseconds of each call by where giver and taker were."""
        took: dict[str, list[float]] = defaultdict(list)
        if request.url.path == "/health":
            return took
        for _ in range(CALLS):
            began = time.perf_counter()
            origin, at = await self._taker.take.remote(self._giver.give.remote())
            here = _here()
            kind = "together" if origin == at else "apart"
            took[f"giver and taker {kind}, taker {'here' if at == here else 'elsewhere'}"].append(
                1000 * (time.perf_counter() - began)
            )
            await asyncio.sleep(0)
        return took


# Ray's decorator is untyped here.
app = Caller.bind(Giver.bind(), Taker.bind())  # type: ignore[attr-defined]


def main() -> int:
    """Measure and print. Answers the exit code."""
    folder, port = Path(tempfile.mkdtemp(prefix="tapcut-hop-")), free_port()
    config = {
        "proxy_location": "HeadOnly",
        "http_options": {"host": "127.0.0.1", "port": port},
        "applications": [{"name": "tapcut", "import_path": "trials.hop:app"}],
    }
    try:
        with running_nodes(folder, ROOT / "serve_config.yaml", 2) as cluster:
            cluster.deploy(config)
            cluster.wait_until_steady()
            url = f"http://127.0.0.1:{port}"
            wait_for_health(url)
            httpx.get(url, timeout=120).raise_for_status()  # connections and workers are warm from here on
            took = httpx.get(url, timeout=120).raise_for_status().json()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for kind, times in sorted(took.items()):
        print(
            f"{kind}: p50 {median(times):.1f} ms, p95 {np.percentile(times, 95):.1f} ms, {len(times)} calls"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
