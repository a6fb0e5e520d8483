"""Stage: takes jobs from the queue and walks each through the DAG.

Owns one replica's share of the queue: taking, leases, the drain before the replica goes, and the
number that the runners scale by. What an attempt does and how it ends is `job_attempt.py`'s. All CPU
work happens in other stages, so this loop stays free to notice what happens.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from typing import Any

from ray import serve

from deployments.gpu_share import keep_to_share
from deployments.job_attempt import JobAttempts
from deployments.job_walk import Stages
from deployments.scaling import BACKLOG
from settings import Settings
from storage.errors import LeaseLost, StorageError
from storage.job_queue import Delivery
from storage.lease_keeper import LeaseKeeper
from storage.open_store import open_store
from storage.redis_connection import RedisConnection
from storage.redis_jobs import RedisJobs
from storage.redis_queue import RedisQueue
from storage.sweeper import SweepPolicy, sweep

log = logging.getLogger("ray.serve")

TAKE_BLOCK_MS = 1000
LONGEST_SWEEP_PERIOD_S = 30.0
LAST_TAKE_S = 2.5  # for the take that is under way when the replica is told to go
DRAIN_S = 20.0  # with LAST_TAKE_S and Serve's own 2 s below the deployment's graceful_shutdown_timeout_s


@serve.deployment
class JobRunner:
    """Runs up to `concurrent_jobs` jobs at once (serve config, `user_config`)."""

    def __init__(self, settings: Settings, stages: Stages) -> None:
        keep_to_share(settings)
        self._settings = settings
        self._files = open_store(settings.store_url, settings.work_dir)
        connection = RedisConnection(settings.redis_url)
        self._jobs = RedisJobs(connection)
        self._queue = RedisQueue(connection, settings.max_tries)
        self._attempts = JobAttempts(stages, self._jobs, self._queue, self._files, settings.job_timeout_s)
        self._consumer = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._running: dict[Delivery, asyncio.Task[None]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._concurrent_jobs = 1
        self._room = asyncio.Event()
        self._draining = False
        self._keeper: LeaseKeeper | None = None

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take `concurrent_jobs` from the serve config; the first call starts the loops, on their loop."""
        self._concurrent_jobs = int(user_config["concurrent_jobs"])
        self._room.set()
        if self._loops:
            return
        loop = asyncio.get_running_loop()

        def on_lost(delivery: Delivery) -> None:  # called in the keeper's thread
            loop.call_soon_threadsafe(self._stop_lost, delivery)

        self._keeper = LeaseKeeper(
            self._settings.redis_url,
            self._consumer,
            self._settings.lease_s,
            on_lost=on_lost,
        )
        self._loops = [asyncio.create_task(self._take_jobs()), asyncio.create_task(self._sweep())]

    async def check_health(self) -> None:
        """Fails when the replica no longer takes jobs, so that Serve replaces it."""
        for loop in self._loops:
            if loop.done() and not self._draining:
                raise RuntimeError("a loop of the job runner has ended") from loop.exception()
        if self._keeper is not None and not self._keeper.alive:
            raise RuntimeError("the lease keeper has ended")

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """All runners' backlog, for `deployments.scaling`; nothing while the store does not answer."""
        try:
            backlog = await self._queue.backlog()
        except StorageError:
            return {}
        return {BACKLOG: float(backlog.jobs)}

    async def __del__(self) -> None:
        """Finish what runs, for at most `DRAIN_S`; give the rest back to the queue."""
        self._draining = True
        self._room.set()
        if self._loops:
            # Cancelled in the middle of a take, it might leave a job to its lease that it was just given.
            await asyncio.wait(self._loops[:1], timeout=LAST_TAKE_S)
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        if self._running:
            await asyncio.wait(self._running.values(), timeout=DRAIN_S)
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        if self._keeper is not None:
            await asyncio.to_thread(self._keeper.close)

    async def _take_jobs(self) -> None:
        reclaimed_at = 0.0
        while not self._draining:
            if len(self._running) >= self._concurrent_jobs:
                self._room.clear()
                await self._room.wait()
                continue
            try:
                if time.monotonic() - reclaimed_at > self._settings.lease_s / 3:
                    reclaimed_at = time.monotonic()
                    lease_ms = int(self._settings.lease_s * 1000)
                    for delivery in await self._queue.reclaim(
                        self._consumer, lease_ms, holding=self._keeper.held if self._keeper else ()
                    ):
                        self._start(delivery)
                    continue
                taken = await self._queue.take(self._consumer, TAKE_BLOCK_MS)
            except StorageError as error:
                log.warning("the queue does not answer: %s", error)
                await asyncio.sleep(1.0)
                continue
            if taken is not None:
                self._start(taken)

    def _start(self, delivery: Delivery) -> None:
        assert self._keeper is not None
        self._keeper.add(delivery)
        task = asyncio.create_task(self._run(delivery))
        self._running[delivery] = task
        task.add_done_callback(lambda _: self._ended(delivery))

    def _ended(self, delivery: Delivery) -> None:
        assert self._keeper is not None
        self._keeper.remove(delivery)
        self._running.pop(delivery, None)
        self._room.set()

    def _stop_lost(self, delivery: Delivery) -> None:
        task = self._running.get(delivery)
        if task is not None:
            task.cancel()

    async def _run(self, delivery: Delivery) -> None:
        extra = {"tapcut_job": delivery.job_id, "run": delivery.run}
        try:
            started = await self._queue.begin(delivery)
            if started is None:
                return
            extra["attempt"] = started.attempt
            try:
                await self._attempts.run(started)
                log.info("job ended", extra=extra)
            except LeaseLost:
                # What this attempt has written goes with the job, or when the attempt that has it now ends.
                log.warning("job given up: deleted, or taken over by another runner", extra=extra)
            except asyncio.CancelledError:
                given_back = await self._queue.give_back(delivery, started.attempt)
                log.warning(
                    "job given back" if given_back else "job given up: its lease is lost", extra=extra
                )
                raise
        except StorageError as error:
            # Its lease runs out, and a runner that reaches the store takes it over.
            log.warning("job left to be reclaimed: %s", error, extra=extra)
        except Exception:
            log.exception("job left to be reclaimed", extra=extra)

    async def _sweep(self) -> None:
        stale_s = self._settings.stale_s
        policy = SweepPolicy(
            orphan_s=stale_s, stale_s=stale_s, embedding_ttl_s=self._settings.embedding_ttl_s
        )
        period_s = min(LONGEST_SWEEP_PERIOD_S, stale_s / 2)
        while True:
            await asyncio.sleep(period_s)
            try:
                if await self._jobs.hold_sweep(self._consumer, 2 * period_s):
                    log.info("swept: %s", await sweep(self._jobs, self._files, policy))
            except StorageError as error:
                log.warning("sweep failed, the next pass may not: %s", error)
