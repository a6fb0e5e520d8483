"""The faults: what is done to a running service, and from when on it has to recover.

Owns those that end a process with SIGKILL, and the list of all; `chaos_lasting_faults.py` has those that
last. Only processes of the trial's own service are touched. Each fault answers the moment from which
recovery counts: that of the blow, or, for a fault that lasts, that of its end.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from trials.chaos_lasting_faults import (
    delete_jobs,
    fill_disk,
    fill_redis,
    hang_runner,
    poison,
    redeploy,
    stall_runner,
)
from trials.chaos_scene import Fault, FaultFailedError, Scene
from trials.service import STAGES, Service

LASTING = ("hang", "stall", "poison", "cleanup", "redeploy", "Redis full", "disk full")  # once a trial


def kill(pid: int | None, what: str) -> float:
    """SIGKILL a process; the moment of it."""
    if pid is None:
        raise FaultFailedError(f"there is no {what} to kill")
    os.kill(pid, signal.SIGKILL)
    return time.monotonic()


def kill_replica(deployment: str) -> Fault:
    """The fault that kills one replica of a deployment; a busy one if it is the runner."""

    async def inject(scene: Scene) -> float:
        pids = scene.service.replicas(deployment)
        if deployment == "JobRunner":
            pids = pids & set(scene.holders()) or pids
        return kill(scene.one_of(pids), deployment)

    return inject


def kill_actor(start_of_name: str) -> Fault:
    """The fault that kills one of Serve's own actors."""

    async def inject(scene: Scene) -> float:
        return kill(scene.one_of(scene.service.processes(f"ray::{start_of_name}")), start_of_name)

    return inject


async def kill_redis(scene: Scene) -> float:
    """Kill Redis; whoever started it starts it again."""
    info: Any = scene.store.info("server")
    return kill(int(info["process_id"]), "Redis")


def all_faults(service: Service) -> dict[str, Fault]:
    """Every fault by name, in the order in which they are tried."""
    stages = [*STAGES, *(["WebhookSender"] if service.replicas("WebhookSender") else [])]
    return {
        "Ingress": kill_replica("Ingress"),
        "JobRunner": kill_replica("JobRunner"),
        **{stage: kill_replica(stage) for stage in stages},
        "controller": kill_actor("ServeController"),
        "proxy": kill_actor("ProxyActor"),
        "Redis": kill_redis,
        "hang": hang_runner,
        "stall": stall_runner,
        "poison": poison,
        "cleanup": delete_jobs,
        "redeploy": redeploy,
        "Redis full": fill_redis,
        "disk full": fill_disk,
    }
