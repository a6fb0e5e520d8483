"""What a fault acts on: the service, its load and its store.

Owns the look into the store that tells which process works on what.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from storage import redis_keys
from trials.chaos_load import Load
from trials.service import Service


class FaultFailedError(Exception):
    """What was to happen under the fault did not; a broken promise."""


@dataclass
class Scene:
    """What a fault acts on. `config`: the serve config that the service was started with."""

    service: Service
    load: Load
    store: redis.Redis
    random: random.Random
    config: Path
    lease_s: float

    def one_of(self, pids: set[int]) -> int | None:
        """Any of some processes."""
        return self.random.choice(sorted(pids)) if pids else None

    def holders(self) -> dict[int, list[str]]:
        """Which runner process holds which jobs."""
        held: dict[int, list[str]] = {}
        # Any: redis-py types its answers for all protocols at once.
        pending: Any = self.store.xpending_range(redis_keys.QUEUE, redis_keys.GROUP, "-", "+", 100)
        for entry in pending:
            job_id: Any = self.store.hget(redis_keys.TICKETS, entry["message_id"])
            if job_id and entry["consumer"] != redis_keys.GIVEN_BACK:
                held.setdefault(int(entry["consumer"].rsplit("-", 2)[1]), []).append(job_id)
        return held

    def job(self, job_id: str) -> dict[str, str]:
        """The job's fields as stored."""
        fields: Any = self.store.hgetall(redis_keys.JOB + job_id)
        return dict(fields)


Fault = Callable[[Scene], Awaitable[float]]


async def quiet(scene: Scene, within_s: float = 90.0) -> None:
    """Hold the load and wait until no job is in flight."""
    scene.load.hold()
    deadline = time.monotonic() + within_s
    while scene.load.ledger.in_flight and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
