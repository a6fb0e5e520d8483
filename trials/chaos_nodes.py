"""A cluster of three nodes on one machine, in a process of its own: `python -m trials.chaos_nodes`.

Owns the nodes' lives. Prints one line of JSON for each thing that happened and reads commands from its
input: `kill` ends a whole worker node with SIGKILL, the end of input ends everything.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

import psutil

from launch.configuration import settings_of
from launch.ray_environment import prepare_ray_environment
from launch.ray_service import deploy, wait_until_ready
from launch.stop_signal import StopSignal

HEAD_PORTS = {"node_manager_port": 8910, "object_manager_port": 8911}
# A dead node is believed after three missed checks of a second each; Ray's default takes tens of seconds.
FAST_DETECTION = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
NODE_CPUS = 8  # logical: room for all replicas on the node that is left


def main() -> int:
    """Start, obey, end. Answers the exit code."""
    parser = argparse.ArgumentParser(description="Three Ray nodes that serve tapcut.")
    parser.add_argument("config", type=Path)
    options = parser.parse_args()
    settings = settings_of(options.config)
    prepare_ray_environment(settings)

    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "node_ip_address": "127.0.0.1",
            "gcs_server_port": 8912,
            "include_dashboard": False,
            "_system_config": FAST_DETECTION,
            **HEAD_PORTS,
        },
    )
    try:
        workers = [
            cluster.add_node(num_cpus=NODE_CPUS, node_ip_address="127.0.0.1", include_dashboard=False)
            for _ in range(2)
        ]
        ray.init(address=cluster.address, namespace="serve", log_to_driver=False, logging_level="warning")
        url = f"http://{settings.host}:{settings.port}"
        deploy(settings, options.config)
        wait_until_ready(url, StopSignal())
        _tell(ready=url, nodes=[_replicas_of(worker) for worker in workers])
        for line in sys.stdin:
            if line.strip() == "kill":
                victim = max(workers, key=lambda worker: len(_replicas_of(worker)))
                lost = _replicas_of(victim)
                family = _processes_of(victim)
                for process in family:
                    process.send_signal(signal.SIGKILL)
                _tell(killed=lost, processes=len(family))
                cluster.remove_node(victim, allow_graceful=False)
                workers.remove(victim)
        serve.shutdown()
    finally:
        ray.shutdown()
        cluster.shutdown()
    return 0


# Any: Ray's node is untyped.
def _processes_of(node: Any) -> list[psutil.Process]:
    """All processes of a node, its raylet first."""
    found: list[psutil.Process] = []
    for infos in node.all_processes.values():
        for info in infos:
            if info.process.poll() is None:
                process = psutil.Process(info.process.pid)
                found += [process, *process.children(recursive=True)]
    return found


def _replicas_of(node: Any) -> list[str]:
    """Names of the deployments that have a replica on a node, once for each replica."""
    names = []
    for process in _processes_of(node):
        title = (process.cmdline() or [""])[0]
        if title.startswith("ray::ServeReplica:tapcut:"):
            names.append(title.split(":")[4].split(" ")[0].split("#")[0])
    return sorted(names)


def _tell(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    sys.exit(main())
