"""The queue of jobs in Redis: `JobQueue` over a stream with one consumer group.

Owns the runner's operations. The stream holds an entry from the acceptance of a run to its end;
there is never more than one entry a job, and the job's hash names it. Entries are tickets: which
waiting job a ticket is for is decided when it is taken (see `redis_scripts/line.lua`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import uuid4

from redis import exceptions

from storage import redis_keys
from storage.errors import LeaseLost
from storage.job_metrics import BATCH_BOUNDS, SECONDS_BOUNDS, StageTiming, bucket_of
from storage.job_queue import Backlog, Delivery, Started
from storage.jobs import JobState
from storage.redis_codec import flat, job_of
from storage.redis_connection import LONGEST_BLOCK_MS, RedisConnection, translated

MAX_TRIES = 3


class RedisQueue:
    """`JobQueue` in Redis. Consumer names must be unique to a process's life (host, pid, random)."""

    def __init__(self, connection: RedisConnection, max_tries: int = MAX_TRIES) -> None:
        self._redis = connection
        self._max_tries = max_tries

    async def take(self, consumer: str, block_ms: int = 0) -> Delivery | None:
        """The next job, given-back ones first; None when none came within `block_ms` (at most 2000).

        A job given back while this call blocks is only seen by the next call: keep `block_ms` near
        a second.
        """
        answer = await self._redis.run("take", consumer)
        if answer:
            return _delivery(consumer, *answer)
        if block_ms <= 0:
            return None
        with translated():
            try:
                # Any: redis-py types this answer for all protocols at once.
                read: Any = await self._redis.client.xreadgroup(
                    redis_keys.GROUP,
                    consumer,
                    {redis_keys.QUEUE: ">"},
                    count=1,
                    block=min(block_ms, LONGEST_BLOCK_MS),
                )
            except exceptions.ResponseError as error:
                # The stream or the group went away while we waited: the next call makes it again.
                if not any(word in str(error) for word in ("NOGROUP", "UNBLOCKED")):
                    raise
                return None
        if not read:
            return None
        entry_id, fields = read[0][1][0]
        answer = await self._redis.run("take", consumer, entry_id, fields["job"])
        return _delivery(consumer, *answer) if answer else None

    async def reclaim(
        self, consumer: str, min_idle_ms: int, *, holding: Collection[Delivery] = (), limit: int = 1
    ) -> list[Delivery]:
        """Take over at most `limit` deliveries whose lease ran out, none of `holding`.

        Finds nothing while Redis itself is up for less than `min_idle_ms`: leases ran on while it
        was down, and the living get the chance to renew them first.
        """
        held = [delivery.entry_id for delivery in holding]
        answer = await self._redis.run("reclaim", consumer, min_idle_ms, limit, *held)
        return [_delivery(consumer, *entry) for entry in answer]

    async def begin(self, delivery: Delivery) -> Started | None:
        """Open a new attempt; None when there is nothing to do (gone, ended, reclaimed, or out of tries).

        A run that used up its tries ends as error here, with a dead letter.
        """
        error = f"Processing failed: given up after {self._max_tries} interrupted attempts"
        status, *answer = await self._redis.run(
            "begin",
            delivery.job_id,
            delivery.entry_id,
            uuid4().hex,
            self._max_tries,
            error,
            delivery.consumer,
        )
        if status == "gone":
            return None
        job = job_of(delivery.job_id, answer[0])
        return Started(delivery, job, job.attempt)

    async def heartbeat(self, deliveries: Collection[Delivery]) -> frozenset[Delivery]:
        """Renew the leases of one consumer's deliveries; those that are still its own."""
        if not deliveries:
            return frozenset()
        consumer = next(iter(deliveries)).consumer
        ours = await self._redis.run("heartbeat", consumer, *(one.entry_id for one in deliveries))
        return frozenset(one for one in deliveries if one.entry_id in ours)

    async def report(
        self, job_id: str, attempt: int, stage: str, progress: int, files: Mapping[str, str] | None = None
    ) -> None:
        """Tell stage, progress (0..100, never lowered) and finished files. Raises `LeaseLost`."""
        answer = await self._redis.run("report", job_id, attempt, stage, progress, *flat(files or {}))
        _must_hold(answer, job_id)

    async def commit(
        self,
        delivery: Delivery,
        attempt: int,
        result: str,
        files: Mapping[str, str],
        timings: Sequence[StageTiming] = (),
    ) -> None:
        """End the job as ready and its entry with it, once. Raises `LeaseLost`."""
        await self._finish(delivery, attempt, "ready", result, files, timings)

    async def fail(
        self, delivery: Delivery, attempt: int, error: str, timings: Sequence[StageTiming] = ()
    ) -> None:
        """End the job as error and its entry with it, once. Raises `LeaseLost`."""
        await self._finish(delivery, attempt, "error", error, {}, timings)

    async def give_back(self, delivery: Delivery, attempt: int) -> bool:
        """Put the job back for others at once, the try not counted; false if it was no longer ours."""
        answer = await self._redis.run("give_back", delivery.job_id, delivery.entry_id, attempt)
        return bool(answer[0] == "ok")

    async def backlog(self) -> Backlog:
        """What there is to do, read together."""
        (processing,), waiting, *_ = await self._redis.run("counts", JobState.PROCESSING)
        return Backlog(waiting=int(waiting), in_hand=int(processing) - int(waiting))

    async def _finish(
        self,
        delivery: Delivery,
        attempt: int,
        state: str,
        text: str,
        files: Mapping[str, str],
        timings: Sequence[StageTiming],
    ) -> None:
        steps = json.dumps(_increments(timings))
        answer = await self._redis.run(
            "finish", delivery.job_id, delivery.entry_id, attempt, state, text, steps, *flat(files)
        )
        _must_hold(answer, delivery.job_id)


def _delivery(consumer: str, entry_id: str, job_id: str, run: str) -> Delivery:
    return Delivery(entry_id=entry_id, job_id=job_id, run=int(run), consumer=consumer)


def _must_hold(answer: Sequence[str], job_id: str) -> None:
    if answer[0] == "lost":
        raise LeaseLost(f"Job {job_id} is no longer held by this attempt")


def _increments(timings: Sequence[StageTiming]) -> list[tuple[str, str, float]]:
    steps: list[tuple[str, str, float]] = []
    for one in timings:
        for key, value, bounds in (
            (redis_keys.STAGE_SECONDS, one.seconds, SECONDS_BOUNDS),
            (redis_keys.BATCH_SIZES, float(one.batch_size), BATCH_BOUNDS),
        ):
            steps.append((key, f"{one.stage}|{bucket_of(value, bounds)}", 1))
            steps.append((key, f"{one.stage}|sum", value))
    return steps
