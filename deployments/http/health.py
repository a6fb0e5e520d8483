"""Readiness: what is loaded, what answers, what does not.

Owns the verdict: `ok` only when Redis takes writes, the artifact store answers, the disk has room and both
networks are loaded, or asleep because nobody needed them.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from deployments.http.backend import Backend
from deployments.http.room import has_room
from deployments.http.schemas import HealthAnswer
from storage.errors import FileStoreError, StoreUnavailable

NETWORKS = ("mobile_sam", "lama")


async def check_health(backend: Backend, version: str) -> HealthAnswer:
    """One look at everything that a job needs; takes at most a few seconds."""
    seen, (redis, queue), (room, store_problem) = await asyncio.gather(
        backend.networks(), _queue(backend), _files(backend)
    )
    networks = seen.loaded
    problems = [
        f"{name}: its stage does not answer yet"
        for name in NETWORKS
        if name not in networks and name not in seen.asleep
    ]
    problems += seen.starved
    if redis != "ok":
        problems.append(f"redis: {redis}; jobs are refused until it answers and accepts writes")
    if not room:
        problems.append("disk: less than MIN_FREE_MB free on the volume of WORK_DIR; jobs are refused")
    if store_problem:
        problems.append(f"artifact store: {store_problem}; jobs are refused until it answers")
    stores_ok = redis == "ok" and room and not store_problem
    return HealthAnswer(
        status="ok" if not problems else ("starting" if stores_ok else "degraded"),
        version=version,
        device=next((network.device for network in networks.values()), None),
        models_loaded=all(name in networks for name in NETWORKS),
        checkpoints=dict(networks),
        redis=redis,
        queue=queue,
        problems=problems,
    )


async def _files(backend: Backend) -> tuple[bool, str]:
    """Whether there is room as far as is known, and what is wrong with the artifact store."""
    try:
        await asyncio.to_thread(backend.files.ping)
        return await has_room(backend), ""
    except FileStoreError as error:
        return True, str(error)


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
