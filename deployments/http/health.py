"""Readiness: what is loaded, what answers, what does not.

Owns the verdict: `ok` only when Redis takes writes, the disk has room and both networks are loaded.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from deployments.http.backend import Backend
from deployments.http.room import has_room
from deployments.http.schemas import HealthAnswer
from storage.errors import StoreUnavailable

NETWORKS = ("mobile_sam", "lama")


async def check_health(backend: Backend, version: str) -> HealthAnswer:
    """One look at everything that a job needs; takes at most a few seconds."""
    networks, (redis, queue), room = await asyncio.gather(
        backend.networks(), _queue(backend), has_room(backend)
    )
    problems = [f"{name}: its stage does not answer yet" for name in NETWORKS if name not in networks]
    if redis != "ok":
        problems.append(f"redis: {redis}; jobs are refused until it answers and accepts writes")
    if not room:
        problems.append("disk: less than MIN_FREE_MB free on the volume of WORK_DIR; jobs are refused")
    return HealthAnswer(
        status="ok" if not problems else ("starting" if redis == "ok" and room else "degraded"),
        version=version,
        device=next((network.device for network in networks.values()), None),
        models_loaded=all(name in networks for name in NETWORKS),
        checkpoints=dict(networks),
        redis=redis,
        queue=queue,
        problems=problems,
    )


async def _queue(backend: Backend) -> tuple[Literal["ok", "refuses", "unreachable"], dict[str, int]]:
    try:
        metrics = await backend.jobs.metrics()
    except StoreUnavailable:
        return "unreachable", {}
    queue = {
        "waiting": metrics.waiting,
        "running": metrics.in_progress,
        "limit": backend.settings.max_queued_jobs,
    }
    try:
        await backend.jobs.ping()
    except StoreUnavailable:
        return "refuses", queue
    return "ok", queue
