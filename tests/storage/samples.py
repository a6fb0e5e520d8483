"""What several storage tests use: values, first steps, waiting for a condition with a deadline."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from storage.job_metrics import StageTiming
from storage.job_queue import Delivery, Started
from storage.jobs import Job, Picture
from storage.redis_connection import RedisConnection
from storage.redis_jobs import RedisJobs
from storage.redis_queue import RedisQueue

DIGEST = "d" * 64


def new_id() -> str:
    return uuid4().hex


def picture(digest: str = DIGEST) -> Picture:
    return Picture(digest, 640, 480, 1280, 960, "jpeg", ("resized",))


async def until(condition: Callable[[], Any | Awaitable[Any]], deadline_s: float = 10.0) -> Any:
    """The condition's first true answer; fails after `deadline_s`."""
    end = time.monotonic() + deadline_s
    while True:
        answer = condition()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        assert time.monotonic() < end, "the condition never came true"
        await asyncio.sleep(0.01)


@dataclass
class Store:
    """Both sides of the store, with the few steps that most tests begin with."""

    url: str
    connection: RedisConnection
    jobs: RedisJobs
    queue: RedisQueue

    async def uploaded(self, job_id: str | None = None, digest: str = DIGEST, ttl_s: float = 60) -> str:
        job_id = job_id or new_id()
        files = {"original.png": f"{job_id}/original.png"}
        await self.jobs.create(job_id, picture(digest), files, ttl_s)
        return job_id

    async def enqueued(self, job_id: str | None = None, ttl_s: float = 60) -> str:
        job_id = job_id or await self.uploaded()
        await self.jobs.enqueue(job_id, "{}", 1, max_queued=1000, ttl_s=ttl_s)
        return job_id

    async def taken(self, consumer: str = "one") -> Delivery:
        delivery = await self.queue.take(consumer)
        assert delivery is not None
        return delivery

    async def started(self, consumer: str = "one") -> Started:
        await self.enqueued()
        return await self.begun(await self.taken(consumer))

    async def begun(self, delivery: Delivery) -> Started:
        started = await self.queue.begin(delivery)
        assert started is not None
        return started

    async def committed(self, started: Started, timings: tuple[StageTiming, ...] = ()) -> Job:
        await self.queue.commit(started.delivery, started.attempt, '{"ok": true}', {}, timings)
        return await self.jobs.get(started.job.id)
