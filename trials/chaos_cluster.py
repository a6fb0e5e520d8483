"""The production config on a cluster of local nodes, and the faults that one machine cannot have.

Owns the Redis and the work folder that the nodes share, and what happens to whole nodes. The nodes
themselves are `cluster.py`'s.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from storage.redis_server import start_redis
from trials.bucket import running_bucket
from trials.chaos_scene import Fault, FaultFailedError, Scene
from trials.cluster import Cluster, running_nodes
from trials.production import MOST_REPLICAS, deployments_of, production_config, small_variant
from trials.service import CACHE, Service, free_port, wait_for_health

GCS_NAMESPACE = "tapcut"
DEPLOY_S = 420.0  # twenty replicas on two busy cores


@dataclass(frozen=True)
class Served:
    """A cluster with the application on it.

    `config`: what is deployed. `shared`: whether the nodes share WORK_DIR; else each has its own, and
    artifacts are in a bucket.
    """

    service: Service
    cluster: Cluster
    config: dict[str, Any]
    shared: bool

    def artifacts_on_nodes(self) -> int:
        """PNG files in the WORK_DIRs that the nodes do not share."""
        return 0 if self.shared else sum(1 for _ in self.cluster.folder.glob("*/private/**/*.png"))


@contextmanager
def running_cluster(
    folder: Path,
    settings: Mapping[str, str],
    *,
    workers: int = 2,
    gcs_on_redis: bool = False,
    in_bucket: bool = False,
    most: int = MOST_REPLICAS,
) -> Iterator[Served]:
    """The production config, made small, on `workers` nodes and a head without replicas.

    `in_bucket`: artifacts are kept in a bucket and no folder is shared; needs the right to mount. `most`:
    replicas of a stage.

    Raises:
        ClusterError: a node or the application does not start.
    """
    work_dir, port = folder / "jobs", free_port()
    work_dir.mkdir()
    with ExitStack() as stack:
        redis = stack.enter_context(start_redis(folder if in_bucket else work_dir))
        environment = {**os.environ, "REDIS_URL": redis.url}
        args = {"WORK_DIR": str(work_dir), "CACHE_DIR": str(CACHE), **settings}
        if in_bucket:
            bucket = stack.enter_context(running_bucket(folder))
            environment |= bucket.environment
            args["STORE_URL"] = bucket.url
        password = ""
        if gcs_on_redis:
            password = redis.url.split("@")[0].rpartition(":")[2]
            environment |= {
                "RAY_REDIS_ADDRESS": f"127.0.0.1:{redis.port}",
                "RAY_external_storage_namespace": GCS_NAMESPACE,
            }
        config = small_variant(production_config(), port, args, most)
        path = folder / "serve_config.yaml"
        path.write_text(yaml.safe_dump(config))
        private = work_dir if in_bucket else None
        cluster = stack.enter_context(
            running_nodes(
                folder, path, workers, environment=environment, private=private, gcs_password=password
            )
        )
        cluster.deploy(config)
        cluster.wait_until_steady(DEPLOY_S)
        url = f"http://127.0.0.1:{port}"
        wait_for_health(url)
        home = folder if in_bucket else work_dir
        service = Service(url, home, psutil.Process(), cluster.head.log)
        yield Served(service, cluster, config, shared=not in_bucket)


def kill_node(served: Served) -> Fault:
    """The fault that ends the worker node with most replicas; another one joins afterwards."""

    async def inject(scene: Scene) -> float:
        cluster = served.cluster
        await asyncio.to_thread(settle, cluster)
        at = Counter(replica.node for replica in cluster.replicas())
        victim = max(cluster.nodes[1:], key=lambda node: at[node.address])
        lost = {replica.deployment for replica in cluster.replicas() if replica.node == victim.address}
        if "JobRunner" not in lost or "Ingress" not in lost or len(lost) < 5:
            raise FaultFailedError(f"the node had too little on it: {sorted(lost)}")
        struck = time.monotonic()
        await asyncio.to_thread(cluster.kill, victim)
        await asyncio.to_thread(cluster.start_worker)
        return struck

    return inject


def settle(cluster: Cluster) -> None:
    """Return when every node has started and every stage has all its replicas.

    Raises:
        ClusterError: that takes too long.
    """
    for node in cluster.nodes:
        cluster.wait_for_start(node)
    cluster.wait_until_steady(DEPLOY_S)


def spread_table(cluster: Cluster) -> str:
    """Which stage has how many replicas on which node."""
    at = Counter((replica.deployment, replica.node) for replica in cluster.replicas())
    nodes = [node.address for node in cluster.nodes]
    lines = ["| stage | " + " | ".join(["head", *nodes[1:]]) + " |", "|---" * (len(nodes) + 1) + "|"]
    for stage in sorted({stage for stage, _ in at}):
        lines.append(f"| {stage} | " + " | ".join(str(at[stage, node]) for node in nodes) + " |")
    return "\n".join(lines)


def spread_problems(
    config: Mapping[str, Any], placed: Mapping[tuple[str, str], int], *, after_a_loss: bool = False
) -> list[str]:
    """Where `placed` (stage, node -> running replicas) breaks what `config` says of spread, in words.

    After a loss only hard limits hold: what the node had starts at once where there is room, which may be one
    node for all of a stage, and Ray moves nothing to a node that joins later.
    """
    problems = []
    for name, stage in deployments_of(config).items():
        counts = [count for (stage_name, _), count in placed.items() if stage_name == name and count]
        limit = stage.get("max_replicas_per_node")
        if limit is not None and max(counts, default=0) > limit:
            problems.append(f"{name}: {max(counts)} replicas on one node, at most {limit} may be")
        if len(counts) < 2 and (limit is not None or not after_a_loss):
            problems.append(f"{name}: all {sum(counts)} replicas on one node")
    return problems


def placed_replicas(cluster: Cluster) -> Counter[tuple[str, str]]:
    """How many running replicas of each stage are on each node."""
    return Counter(
        (replica.deployment, replica.node) for replica in cluster.replicas() if replica.state == "RUNNING"
    )
