"""Stage: takes jobs from the queue and walks each through the DAG.

Owns one replica's share of the queue: taking, leases, what an error means for the job, commit, and
the drain before the replica goes. All CPU work happens in other stages, so this loop stays free to
notice what happens.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Mapping
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.job_request import SegmentRequest
from deployments.job_result import result_files, status_result
from deployments.job_walk import JobWalk, Stages, WalkResult
from deployments.messages import PictureRef
from deployments.stage_errors import Verdict, judge
from settings import Settings
from storage.errors import LeaseLost, StorageError, StoreUnavailable
from storage.job_queue import Delivery, Started
from storage.lease_keeper import LeaseKeeper
from storage.redis_connection import RedisConnection
from storage.redis_jobs import RedisJobs
from storage.redis_queue import RedisQueue
from storage.shared_folder import SharedFolder
from storage.sweeper import SweepPolicy, sweep

log = logging.getLogger("ray.serve")

WALKS = 5  # within one attempt, when replicas of a stage die under it
WALK_RETRY_S = 1.0  # a dead replica is replaced within seconds
TAKE_BLOCK_MS = 1000
COMMIT_PATIENCE_S = 60.0  # how long a finished job waits for a Redis that is away
SWEEP_PERIOD_S = 30.0
NO_ATTEMPT = 0  # attempts count from 1
DRAIN_S = 20.0  # below the deployment's graceful_shutdown_timeout_s


@serve.deployment
class JobRunner:
    """Runs up to `concurrent_jobs` jobs at once (serve config, `user_config`)."""

    def __init__(
        self,
        settings: Settings,
        encoder: DeploymentHandle,
        decoder: DeploymentHandle,
        refiner: DeploymentHandle,
        inpainter: DeploymentHandle,
        composer: DeploymentHandle,
    ) -> None:
        self._settings = settings
        self._stages = Stages(encoder, decoder, refiner, inpainter, composer)
        self._files = SharedFolder(settings.work_dir)
        connection = RedisConnection(settings.redis_url)
        self._jobs = RedisJobs(connection)
        self._queue = RedisQueue(connection, settings.max_tries)
        self._consumer = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._running: dict[Delivery, asyncio.Task[None]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._concurrent_jobs = 1
        self._room = asyncio.Event()
        self._draining = False
        self._keeper: LeaseKeeper | None = None
        self._networks: dict[str, dict[str, str]] = {}

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

    async def __del__(self) -> None:
        """Finish what runs, for at most `DRAIN_S`; give the rest back to the queue."""
        self._draining = True
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
        while True:
            while len(self._running) >= self._concurrent_jobs:
                self._room.clear()
                await self._room.wait()
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
                await self._attempt(started)
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

    async def _attempt(self, started: Started) -> None:
        """Walk the DAG until the job ends as ready or error.

        Raises:
            LeaseLost: the job was deleted or taken over.
        """
        job, timeout_s = started.job, self._settings.job_timeout_s
        began = time.perf_counter()
        try:
            async with asyncio.timeout(timeout_s):
                walked = await self._walk_with_retries(started)
                result = status_result(walked)
                networks = await self._describe_networks()
                seconds = time.perf_counter() - began
                described = await asyncio.to_thread(
                    result_files, self._files, self._folder(started), job, walked, networks, seconds
                )
                files = {**walked.files, **described}
        except TimeoutError:
            await self._fail(
                started,
                f"Processing took longer than {timeout_s:g} s: try fewer objects or a smaller picture",
            )
        except _WalkFailedError as error:
            await self._fail(started, str(error))
        else:
            await self._persist(
                lambda: self._queue.commit(started.delivery, started.attempt, result, files, walked.timings)
            )
            await asyncio.to_thread(self._files.delete_attempts, job.id, started.attempt)

    async def _walk_with_retries(self, started: Started) -> WalkResult:
        job = started.job
        picture = PictureRef(
            job.id, job.files["original.png"], job.picture.digest, job.picture.width, job.picture.height
        )
        request = SegmentRequest.from_json(job.request)

        async def report(stage: str, progress: int, files: Mapping[str, str]) -> None:
            try:
                await self._queue.report(job.id, started.attempt, stage, progress, files)
            except StoreUnavailable as error:
                log.warning("progress not told: %s", error, extra={"tapcut_job": job.id})

        for walk in range(1, WALKS + 1):
            try:
                return await JobWalk(self._stages, picture, request, self._folder(started), report).run()
            except (LeaseLost, TimeoutError):
                raise
            except Exception as error:
                verdict = judge(error)
                if verdict.gone:
                    await self._jobs.get(job.id)  # raises JobNotFound when that is why a file is missing
                if not verdict.passing or walk == WALKS:
                    self._log_failure(verdict, job.id, started.attempt)
                    raise _WalkFailedError(verdict.message) from error
                log.warning(
                    "a stage went away, walking again: %s", verdict.cause, extra={"tapcut_job": job.id}
                )
                await asyncio.sleep(WALK_RETRY_S * walk)
        raise AssertionError("the last walk returns or raises")

    def _log_failure(self, verdict: Verdict, job_id: str, attempt: int) -> None:
        extra = {"tapcut_job": job_id, "attempt": attempt}
        if verdict.expected:
            log.info("job failed: %s", verdict.message, extra=extra)
        else:
            log.error("job failed", exc_info=verdict.cause, extra=extra)

    async def _fail(self, started: Started, message: str) -> None:
        await self._persist(lambda: self._queue.fail(started.delivery, started.attempt, message))
        await asyncio.to_thread(self._files.delete_attempts, started.job.id, NO_ATTEMPT)

    async def _persist(self, write: Any) -> None:
        """Do one write to Redis, waiting for it to come back if it is away; the scripts may run twice."""
        deadline = time.monotonic() + COMMIT_PATIENCE_S
        while True:
            try:
                await write()
                return
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.5)

    @staticmethod
    def _folder(started: Started) -> str:
        return f"{started.job.id}/a{started.attempt}"

    async def _describe_networks(self) -> dict[str, dict[str, str]]:
        if not self._networks:
            mobile_sam, lama = await asyncio.gather(
                self._stages.encoder.describe.remote(), self._stages.inpainter.describe.remote()
            )
            self._networks = {"mobile_sam": mobile_sam, "lama": lama}
        return self._networks

    async def _sweep(self) -> None:
        policy = SweepPolicy(embedding_ttl_s=self._settings.embedding_ttl_s)
        while True:
            await asyncio.sleep(SWEEP_PERIOD_S)
            try:
                if await self._jobs.hold_sweep(self._consumer, 2 * SWEEP_PERIOD_S):
                    log.info("swept: %s", await sweep(self._jobs, self._files, policy))
            except StorageError as error:
                log.warning("sweep failed, the next pass may not: %s", error)


class _WalkFailedError(Exception):
    """The job ends as `error` with this message."""
