"""Readiness: what is loaded, what answers, what does not.

Owns the verdict: `ok` only when Redis answers and both networks are loaded.
"""

from __future__ import annotations

import asyncio

from deployments.http.backend import Backend
from deployments.http.schemas import HealthAnswer
from storage.errors import StoreUnavailable

NETWORKS = ("mobile_sam", "lama")


async def check_health(backend: Backend, version: str) -> HealthAnswer:
    """One look at everything that a job needs; takes at most a few seconds."""
    networks, queue = await asyncio.gather(backend.networks(), _queue(backend))
    problems = [f"{name}: its stage does not answer yet" for name in NETWORKS if name not in networks]
    if queue is None:
        problems.append("redis: unreachable; jobs are refused until it answers")
    ready = not problems
    return HealthAnswer(
        status="ok" if ready else ("degraded" if queue is None else "starting"),
        version=version,
        device=next((network.device for network in networks.values()), None),
        models_loaded=all(name in networks for name in NETWORKS),
        checkpoints=dict(networks),
        redis="ok" if queue is not None else "unreachable",
        queue=queue or {},
        problems=problems,
    )


async def _queue(backend: Backend) -> dict[str, int] | None:
    try:
        metrics = await backend.jobs.metrics()
    except StoreUnavailable:
        return None
    return {
        "waiting": metrics.waiting,
        "running": metrics.in_progress,
        "limit": backend.settings.max_queued_jobs,
    }
