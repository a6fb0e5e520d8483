"""How many jobs a second each resource of a cluster bears, and what a size of cluster needs.

Owns the utilisation law on measured demands: a resource of capacity c that a job uses for d bears c / d.
The first bottleneck is the smallest; several cells (a Ray cluster, a Redis and a store each, behind a
router) multiply what only one of can be had.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from capacity.demand import Assumptions, Demand

CONFIG = Path(__file__).resolve().parents[1] / "serve_config.yaml"
CPU_STAGES = ("Ingress", "PhotoIntake", "MaskRefiner", "ResultComposer", "JobRunner")
GPU_STAGES = ("ImageEncoder", "PromptDecoder", "LamaInpainter")
PROXY = "HTTP proxy"


@dataclass(frozen=True, slots=True)
class Hardware:
    """What is bought. All of these are inputs, not measurements, but for `redis_changes_s`.

    `redis_changes_s`: synced script calls a second of one primary: 702 jobs of 5 changes each, measured
    (docs/storage.md).
    """

    cores_per_gpu: float = 24.0
    gpus_per_node: int = 8
    cpu_node_cores: int = 64
    redis_changes_s: float = 702 * 5
    store_mb_s: float = 2000.0  # of one shared file system, read and written together
    node_gbit_s: float = 25.0
    edge_gbit_s: float = 25.0  # of one edge (load balancer)
    replicas_per_cluster: int = 1000  # that one Serve controller is trusted with


@dataclass(frozen=True, slots=True)
class Limit:
    """What one resource bears, jobs per second at the planned headroom; `mends`: what removes it."""

    resource: str
    jobs_s: float
    mends: str
    per_cell: bool = False  # only one of it in a cell


@dataclass(frozen=True, slots=True)
class Plan:
    """A cluster of `gpus` GPUs that is fed as its GPUs bear."""

    gpus: int
    jobs_s: float  # at the planned headroom of the GPUs
    limits: tuple[Limit, ...]  # of one cell with `serve_config.yaml` as it is, the tightest first
    cells: int
    replicas: Mapping[str, int]  # over all cells
    cores: float
    cpu_nodes: int
    gpu_nodes: int

    @property
    def first_bottleneck(self) -> Limit:
        """What is full first, with the configuration as it is."""
        return self.limits[0]


def read_most_replicas(config: Path = CONFIG) -> dict[str, int]:
    """The most replicas of each deployment that a serve config allows."""
    told = yaml.safe_load(config.read_text())
    return {one["name"]: _most(one) for one in told["applications"][0]["deployments"]}


def _most(deployment: Mapping[str, Any]) -> int:
    scaling = deployment.get("autoscaling_config") or {}
    return int(scaling.get("max_replicas") or deployment.get("num_replicas") or 1)


def plan_for(
    gpus: int, demand: Demand, assumed: Assumptions, hardware: Hardware, most: Mapping[str, int]
) -> Plan:
    """The limits of one cell with `gpus` GPUs, and what it takes to be limited by the GPUs alone."""
    jobs_s = gpus * assumed.headroom / demand.gpu_total_s
    cores = jobs_s * demand.core_total_s / assumed.headroom
    gpu_nodes = math.ceil(gpus / hardware.gpus_per_node)
    beside = gpus * hardware.cores_per_gpu
    cpu_nodes = max(0, math.ceil((cores - beside) / hardware.cpu_node_cores))
    replicas = {
        stage: max(1, math.ceil(jobs_s * demand.core_s.get(stage, 0.0) / assumed.headroom))
        for stage in CPU_STAGES
    } | dict.fromkeys(GPU_STAGES, gpus)
    limits = sorted(
        _limits(gpus, gpu_nodes + cpu_nodes, demand, assumed, hardware, most, jobs_s, replicas),
        key=lambda limit: limit.jobs_s,
    )
    one_cell = min(limit.jobs_s for limit in limits if limit.per_cell)
    return Plan(
        gpus, jobs_s, tuple(limits), math.ceil(jobs_s / one_cell), replicas, cores, cpu_nodes, gpu_nodes
    )


def _limits(
    gpus: int,
    nodes: int,
    demand: Demand,
    assumed: Assumptions,
    hardware: Hardware,
    most: Mapping[str, int],
    jobs_s: float,
    replicas: Mapping[str, int],
) -> list[Limit]:
    room = assumed.headroom
    node_bytes = demand.edge_bytes + demand.hop_bytes + demand.store_written + demand.store_read
    limits = [
        Limit("GPUs", jobs_s, "more of them"),
        Limit(
            "cores beside the GPUs",
            room * gpus * hardware.cores_per_gpu / demand.core_total_s,
            "nodes without a GPU for the stages that need none",
        ),
        Limit(
            "Redis, synced changes of one primary",
            room * hardware.redis_changes_s / demand.redis_changes,
            "cells, each with a Redis; appendfsync everysec",
            per_cell=True,
        ),
        Limit(
            "shared file system",
            room * hardware.store_mb_s * 1e6 / (demand.store_written + demand.store_read),
            "S3 (storage by URL), or a file system a cell",
            per_cell=True,
        ),
        Limit(
            "edge, bytes in and out",
            room * hardware.edge_gbit_s * 1e9 / 8 / demand.edge_bytes,
            "several edges by DNS; results fetched from the object store by signed URL",
            per_cell=True,
        ),
        Limit(
            "network of the nodes",
            room * nodes * hardware.node_gbit_s * 1e9 / 8 / node_bytes,
            "faster cards, stages of a job on one node",
        ),
        Limit(
            "HTTP proxies, one a node",
            room * nodes / demand.core_s[PROXY],
            "smaller nodes, HAProxy mode; events or webhooks instead of polls",
        ),
        Limit(
            "replicas of one Serve controller",
            jobs_s * hardware.replicas_per_cluster / sum(replicas.values()),
            "cells",
            per_cell=True,
        ),
    ]
    for stage in CPU_STAGES:
        limits.append(
            Limit(
                f"max_replicas of {stage}",
                room * most[stage] / max(demand.core_s[stage], 1e-9),
                "a larger number in serve_config.yaml",
            )
        )
    for stage in GPU_STAGES:
        limits.append(
            Limit(
                f"max_replicas of {stage}",
                room * min(most[stage], gpus) / demand.gpu_s[stage],
                "a larger number in serve_config.yaml",
            )
        )
    return limits
