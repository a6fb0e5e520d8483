"""The state of all jobs in Redis: `JobStore` over the scripts in `redis_scripts/`.

Owns the ingress's and the sweeper's operations. The runner's are in `redis_queue.py`, key names in
`redis_keys.py`. All times are by Redis's own clock, so that machines need not agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any
from uuid import uuid4

from storage import redis_keys
from storage.errors import JobBusy, JobExists, JobNotFound, KeyReused, OwnerQueueFull, QueueFull
from storage.job_metrics import (
    BATCH_BOUNDS,
    RUN_BOUNDS,
    SECONDS_BOUNDS,
    Histogram,
    StoreMetrics,
    WebhookCounts,
)
from storage.jobs import Deleted, Enqueued, Job, JobState, Picture, Reservation, ReservationState
from storage.redis_codec import flat, job_of, picture_text
from storage.redis_connection import RedisConnection, translated


class RedisJobs:
    """`JobStore` in Redis; each call is one script, hence atomic and one round trip."""

    def __init__(self, connection: RedisConnection) -> None:
        self._redis = connection

    async def create(
        self, job_id: str, picture: Picture, files: Mapping[str, str], ttl_s: float, owner: str = ""
    ) -> Job:
        """Record an uploaded job. Its `files` outlive every run. Raises `JobExists`."""
        answer = await self._redis.run(
            "create", job_id, ttl_s, owner, picture.digest, picture_text(picture), *flat(files)
        )
        if answer[0] == "exists":
            raise JobExists(f"There is another job {job_id}")
        return job_of(job_id, answer[1])

    async def get(self, job_id: str, owner: str | None = None) -> Job:
        """The job with its queue position, in one round trip; with `owner`, only if it is that tenant's.

        Raises `JobNotFound`, in the same way and time for another's job as for none.
        """
        fields, place = await self._redis.run("get", job_id, *([] if owner is None else [owner]))
        if not fields:
            raise JobNotFound("Job not found")
        return job_of(job_id, fields, place)

    async def delete(self, job_id: str) -> Deleted:
        """Forget the job in any state; whoever runs it loses the lease."""
        existed, unused = await self._redis.run("delete", job_id)
        return Deleted(existed=bool(existed), unused_digest=unused or None)

    async def delete_expired(self, job_id: str) -> Deleted | None:
        """As `delete`, if the job is past its time; None, and nothing done, if it was given more by now."""
        existed, unused = await self._redis.run("delete", job_id, "over")
        return None if existed < 0 else Deleted(existed=bool(existed), unused_digest=unused or None)

    async def existing(self, job_ids: Iterable[str]) -> frozenset[str]:
        """Those of `job_ids` that have a job."""
        names = list(job_ids)
        with translated():
            async with self._redis.client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.exists(redis_keys.JOB + name)
                found = await pipeline.execute()
        return frozenset(name for name, there in zip(names, found, strict=True) if there)

    async def enqueue(
        self,
        job_id: str,
        request: str,
        num_objects: int,
        *,
        max_queued: int,
        ttl_s: float,
        max_queued_of_owner: int | None = None,
        idempotency_key: str | None = None,
        callback_url: str | None = None,
    ) -> Enqueued:
        """Accept a run and queue it.

        Raises `JobNotFound`, `JobBusy`, `QueueFull`, `OwnerQueueFull`, `KeyReused`.

        Its end is told to `callback_url`, which has a host and no user name: see `WebhookOutbox`.

        The expiry moves to `ttl_s` from now at least. An idempotency key is remembered as long as
        the job: its repeat gets the first answer whatever state the job is in by then.
        """
        # Without a key of the client's, one of our own: it makes redis-py's sending again harmless.
        key = redis_keys.digest(idempotency_key) if idempotency_key is not None else uuid4().hex
        callback = callback_url or ""
        same = redis_keys.digest(f"{callback}\0{request}" if callback else request)
        status, *answer = await self._redis.run(
            "enqueue",
            job_id,
            request,
            num_objects,
            max_queued,
            ttl_s,
            key,
            same,
            max_queued if max_queued_of_owner is None else max_queued_of_owner,
            callback,
        )
        if status == "missing":
            raise JobNotFound("Job not found")
        if status == "busy":
            raise JobBusy("The job is being processed")
        if status == "full":
            raise QueueFull("The queue is full")
        if status == "owner_full":
            raise OwnerQueueFull("The owner has as many jobs waiting as one may have")
        if status == "reused":
            raise KeyReused("The idempotency key was used with a different request")
        run, count, repeated = answer
        return Enqueued(run=int(run), num_objects=int(count), repeated=bool(repeated))

    async def accepted(self, job_id: str, idempotency_key: str) -> bool:
        """Whether a run of the job was accepted with this key."""
        with translated():
            found: Any = self._redis.client.hexists(
                redis_keys.RUN_KEYS + job_id, redis_keys.digest(idempotency_key)
            )
            return bool(await found)

    async def reserve(self, key: str, owner: str, hold_s: float) -> Reservation:
        """Claim an idempotency key for an upload, for at most `hold_s`."""
        token = uuid4().hex
        name = redis_keys.upload_key(owner, key)
        state, *answer = await self._redis.run("reserve", name, token, _ms(hold_s))
        return Reservation(ReservationState(state), token, answer[0] if answer else None)

    async def renew(self, key: str, owner: str, token: str, hold_s: float) -> bool:
        """Keep a reserved key for `hold_s` from now; false if another call has it."""
        state, *_ = await self._redis.run("reserve", redis_keys.upload_key(owner, key), token, _ms(hold_s))
        return bool(state == ReservationState.NEW)

    async def complete(self, key: str, owner: str, token: str, answer: str, ttl_s: float) -> bool:
        """Keep the answer of a reserved key; false if the reservation had run out."""
        name = redis_keys.upload_key(owner, key)
        return bool(await self._redis.run("settle", name, token, _ms(ttl_s), answer))

    async def release(self, key: str, owner: str, token: str) -> bool:
        """Give a reserved key back after a failure, so that the client may try again."""
        return bool(await self._redis.run("settle", redis_keys.upload_key(owner, key), token, 0))

    async def expired(self, limit: int, now: float | None = None) -> list[str]:
        """At most `limit` jobs past their time; processing jobs are given more time instead.

        `now` (seconds since the epoch) is for tests; without it, Redis's clock. The jobs are not
        deleted yet: `delete` each.
        """
        found: list[str] = await self._redis.run("expired", "" if now is None else now, limit)
        return found

    async def hold_sweep(self, token: str, lease_s: float) -> bool:
        """Take or renew the right to sweep; false while another token has it."""
        return bool(await self._redis.run("hold_sweep", redis_keys.SWEEP, token, _ms(lease_s)))

    async def forget_consumers(self, idle_s: float) -> int:
        """Remove queue consumers that are idle that long and hold nothing; how many."""
        return int(await self._redis.run("forget_consumers", _ms(idle_s)))

    async def metrics(self) -> StoreMetrics:
        """Counts and histograms over all jobs, read together."""
        states = list(JobState)
        names = (
            redis_keys.STATS,
            redis_keys.STAGE_SECONDS,
            redis_keys.BATCH_SIZES,
            redis_keys.WAIT_SECONDS,
            redis_keys.RUN_SECONDS,
        )
        counts, waiting, longest_s, hashes = await self._redis.run("counts", ",".join(states), *names)
        stats, seconds, batches, waits, runs = (dict(zip(one[::2], one[1::2], strict=True)) for one in hashes)
        jobs = {str(state): int(count) for state, count in zip(states, counts, strict=True)}
        return StoreMetrics(
            jobs=jobs,
            waiting=int(waiting),
            in_progress=jobs[JobState.PROCESSING] - int(waiting),
            finished_total={state: int(stats.get(f"finished_{state}", 0)) for state in ("ready", "error")},
            retries_total=int(stats.get("retries", 0)),
            dead_letters_total=int(stats.get("dead_letters", 0)),
            webhooks=WebhookCounts(
                *(int(stats.get(f"webhooks_{field.name}", 0)) for field in fields(WebhookCounts))
            ),
            stage_seconds=_histograms(seconds, SECONDS_BOUNDS),
            batch_sizes=_histograms(batches, BATCH_BOUNDS),
            oldest_waiting_s=float(longest_s),
            wait_seconds=_histogram("all", waits, RUN_BOUNDS),
            run_seconds={
                (outcome, objects): histogram
                for label, histogram in _histograms(runs, RUN_BOUNDS).items()
                for outcome, objects in [label.split(" ")]
            },
        )

    async def ping(self) -> int:
        """Return when Redis answers and accepts writes: how many jobs wait. Raises `StoreUnavailable`."""
        with translated():
            async with self._redis.client.pipeline(transaction=False) as pipeline:
                pipeline.set(redis_keys.PREFIX + "ping", "1", px=1000)
                pipeline.zcard(redis_keys.WAITING)
                _, waiting = await pipeline.execute()
        return int(waiting)


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _histograms(fields: Mapping[str, str], bounds: tuple[float, ...]) -> dict[str, Histogram]:
    labels = sorted({field.rpartition("|")[0] for field in fields})
    return {label: _histogram(label, fields, bounds) for label in labels}


def _histogram(label: str, fields: Mapping[str, str], bounds: tuple[float, ...]) -> Histogram:
    return Histogram(
        bounds=bounds,
        counts=tuple(int(float(fields.get(f"{label}|{i}", 0))) for i in range(len(bounds) + 1)),
        sum=float(fields.get(f"{label}|sum", 0.0)),
    )
