"""One attempt at one job: walked through the DAG, then committed or failed.

Owns what an error means for the job (walk again, fail with words for the client, or leave it to
others) and the one write that ends it. Knows nothing of leases and consumers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from deployments.job_request import SegmentRequest
from deployments.job_result import result_files, status_result
from deployments.job_walk import JobWalk, Stages
from deployments.messages import PictureRef
from deployments.stage_errors import Verdict, judge
from storage.errors import FileStoreUnavailable, LeaseLost, StoreUnavailable
from storage.files import FileStore
from storage.job_metrics import StageTiming
from storage.job_queue import JobQueue, Started
from storage.jobs import JobStore

log = logging.getLogger("ray.serve")

WALKS = 5  # within one attempt, when replicas of a stage die under it
WALK_RETRY_S = 1.0  # a dead replica is replaced within seconds
COMMIT_PATIENCE_S = 60.0  # how long a finished job waits for a Redis that is away


@dataclass(frozen=True, slots=True)
class Finished:
    """What a walk that succeeded has to commit."""

    result: str  # JSON text kept with the job
    files: Mapping[str, str]  # name -> storage key
    timings: tuple[StageTiming, ...]


class JobAttempts:
    """Makes attempts; one object serves all jobs of a runner."""

    def __init__(
        self, stages: Stages, jobs: JobStore, queue: JobQueue, files: FileStore, job_timeout_s: float
    ) -> None:
        self._stages = stages
        self._jobs = jobs
        self._queue = queue
        self._files = files
        self._job_timeout_s = job_timeout_s
        self._networks: dict[str, dict[str, str]] = {}

    async def run(self, started: Started) -> None:
        """Walk the DAG until the job ends as ready or error.

        Raises:
            LeaseLost: the job was deleted or taken over.
            StorageError: the store does not answer; the job is left to whoever reclaims it.
        """
        job, attempt = started.job, started.attempt
        try:
            async with asyncio.timeout(self._job_timeout_s):
                finished = await self._walk_with_retries(started)
        except TimeoutError:
            limit = f"{self._job_timeout_s:g} s"
            await self._fail(
                started, f"Processing took longer than {limit}: try fewer objects or a smaller picture"
            )
        except _WalkFailedError as error:
            await self._fail(started, str(error))
        else:
            await _persist(
                lambda: self._queue.commit(
                    started.delivery, attempt, finished.result, finished.files, finished.timings
                )
            )
            await self._forget_attempts(job.id, attempt, keep_last=True)

    async def _walk_with_retries(self, started: Started) -> Finished:
        job = started.job
        for walk in range(1, WALKS + 1):
            try:
                return await self._walk(started)
            except (LeaseLost, TimeoutError):
                raise
            except Exception as error:
                verdict = judge(error)
                if verdict.gone:
                    await self._jobs.get(job.id)  # raises JobNotFound when that is why a file is missing
                if not verdict.passing or walk == WALKS:
                    _log_failure(verdict, started)
                    raise _WalkFailedError(verdict.message) from error
                extra = {"tapcut_job": job.id}
                log.warning("a stage went away, walking again: %s", verdict.cause, extra=extra)
                await asyncio.sleep(WALK_RETRY_S * walk)
        raise AssertionError("the last walk returns or raises")

    async def _walk(self, started: Started) -> Finished:
        job, attempt, began_at = started.job, started.attempt, time.time()
        folder = f"{job.id}/a{attempt}"
        picture = PictureRef.of(job)

        async def report(stage: str, progress: int, files: Mapping[str, str]) -> None:
            try:
                await self._queue.report(job.id, attempt, stage, progress, files)
            except StoreUnavailable as error:
                log.warning("progress not told: %s", error, extra={"tapcut_job": job.id})

        request = SegmentRequest.from_json(job.request)
        walked = await JobWalk(self._stages, picture, request, folder, report).run()
        networks = await self._describe_networks(request)
        described = await asyncio.to_thread(
            result_files, self._files, folder, job, walked, networks, began_at
        )
        return Finished(status_result(walked), {**walked.files, **described}, walked.timings)

    async def _describe_networks(self, request: SegmentRequest) -> dict[str, dict[str, str]]:
        # An inpainter that nobody needs may be at zero replicas, and a question would wake it.
        used = {"mobile_sam": self._stages.encoder}
        if request.removes:
            used["lama"] = self._stages.inpainter
        for name, stage in used.items():
            if name not in self._networks:
                self._networks[name] = await stage.describe.remote()
        return {name: self._networks[name] for name in used}

    async def _fail(self, started: Started, message: str) -> None:
        await _persist(lambda: self._queue.fail(started.delivery, started.attempt, message))
        await self._forget_attempts(started.job.id, started.attempt, keep_last=False)

    async def _forget_attempts(self, job_id: str, last: int, *, keep_last: bool) -> None:
        try:
            await asyncio.to_thread(self._files.delete_attempts, job_id, last, keep_last=keep_last)
        except FileStoreUnavailable as error:  # the job has ended; these files go with it at last
            log.warning("files of earlier attempts are left: %s", error, extra={"tapcut_job": job_id})


async def _persist(write: Callable[[], Awaitable[None]]) -> None:
    """Do one write to the store, waiting for it to come back if it is away; writes may be repeated."""
    deadline = time.monotonic() + COMMIT_PATIENCE_S
    while True:
        try:
            await write()
            return
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)


def _log_failure(verdict: Verdict, started: Started) -> None:
    extra = {"tapcut_job": started.job.id, "attempt": started.attempt}
    if verdict.expected:
        log.info("job failed: %s", verdict.message, extra=extra)
    else:
        log.error("job failed", exc_info=verdict.cause, extra=extra)


class _WalkFailedError(Exception):
    """The job ends as `error` with this message."""
