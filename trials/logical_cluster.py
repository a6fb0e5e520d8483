"""A Ray cluster in this process whose nodes have the CPUs and GPUs that one says.

Owns its start and its end. GPUs are numbers in Ray's books: what is placed is real, what computes on them
is not. Serve runs without an HTTP proxy. One in the life of a process, before it imports Ray, which reads
its environment then.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trials.service import ROOT, free_port

STORE_BYTES = 80 << 20


class LogicalCluster:
    """Nodes come and go by name."""

    # Any: Ray's own are untyped.
    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._nodes: dict[str, Any] = {}

    def add(self, name: str, *, cpus: float, gpus: float = 0) -> None:
        """A node of so many logical CPUs and GPUs."""
        self._nodes[name] = self._cluster.add_node(
            num_cpus=cpus,
            num_gpus=gpus,
            node_ip_address="127.0.0.1",
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
        )

    def remove(self, name: str) -> None:
        """End a node."""
        self._cluster.remove_node(self._nodes.pop(name))

    def name_of(self, node_id: str) -> str:
        """The name of the node with Ray's id `node_id`."""
        return next(name for name, node in self._nodes.items() if node.node_id == node_id)


@contextmanager
def logical_cluster() -> Iterator[LogicalCluster]:
    """A head without resources and no other node yet; ended with the context."""
    folder = tempfile.mkdtemp(prefix="tapcut-ray-")
    changed = {
        "RAY_TMPDIR": folder,  # Ray notes a cluster's address where others on the machine would find it
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's name for: listen on loopback
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    assert "ray" not in sys.modules
    os.environ.update(changed)
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

    cluster: Any = None
    try:
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "node_ip_address": "127.0.0.1",
                "gcs_server_port": free_port(),
                "node_manager_port": free_port(),
                "object_manager_port": free_port(),
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
            },
        )
        ray.init(address=cluster.address, namespace="serve", log_to_driver=False, logging_level="warning")
        serve.start(proxy_location="Disabled")
        yield LogicalCluster(cluster)
        serve.shutdown()
    finally:
        ray.shutdown()
        if cluster is not None:
            cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def poll(condition: Callable[[], Any], within_s: float = 30.0, every_s: float = 0.1) -> Any:
    """The condition's first true answer.

    Raises:
        TimeoutError: there was none in time.
    """
    deadline = time.monotonic() + within_s
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s:g} s: {condition}")
        time.sleep(every_s)
    return answer
