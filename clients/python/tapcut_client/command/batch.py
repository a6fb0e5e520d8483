"""Many pictures through the service, as many at once as it takes.

Owns the concurrency: it falls by half when the service refuses for now (429, 503) and grows by one
with each round of successes (additive increase, multiplicative decrease). Knows no terminal.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tapcut_client.async_client import AsyncClient
from tapcut_client.command.kinds import Kind
from tapcut_client.command.ledger import Ledger
from tapcut_client.command.work import Work
from tapcut_client.errors import ApiError, ConnectionFailed, JobFailed, NotFound, TapcutError, Unauthorized
from tapcut_client.models import Status, Upload
from tapcut_client.retry import RetryPolicy

# A batch runs unattended: it outlasts a full queue, a used-up rate and a restart of the service.
PATIENT = RetryPolicy(tries=500, total_s=900)
CLEAN_UP_S = 5.0


class WouldOverwrite(TapcutError):
    """A result's file is there, and is not known to be an earlier result."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a batch. `most`: pictures at once; `timeout_s`: of one job, None = no limit."""

    kind: Kind
    most: int = 8
    overwrite: bool = False
    keep_jobs: bool = False
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A job that has ended well."""

    upload: Upload
    status: Status


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one work ended. `error` None: its `files` are there; `skipped`: they were there before."""

    work: Work
    files: tuple[Path, ...] = ()
    error: str | None = None
    skipped: bool = False
    run: Run | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears of what happens."""

    started: Callable[[Work], None]
    sent: Callable[[Work, int, int], None]  # bytes so far, bytes in all
    status: Callable[[Work, Status], None]
    waiting: Callable[[float, Exception], None]
    ended: Callable[[Outcome], None]


class Gate:
    """Lets in as many as the service bears."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(min(2, most))
        self._inside = 0
        self._change = asyncio.Condition()

    async def enter(self) -> None:
        """Wait for room."""
        async with self._change:
            await self._change.wait_for(lambda: self._inside < int(self._limit))
            self._inside += 1

    async def leave(self) -> None:
        """Make room; a success widens the gate a little."""
        async with self._change:
            self._inside -= 1
            self._limit = min(float(self._most), self._limit + 1 / self._limit)
            self._change.notify_all()

    def narrow(self) -> None:
        """The service refused for now: half as many."""
        self._limit = max(1.0, self._limit / 2)

    @property
    def limit(self) -> int:
        """How many may be inside."""
        return int(self._limit)


async def run_batch(
    connect: Callable[[RetryPolicy], AsyncClient],
    works: Sequence[Work],
    order: Order,
    ledgers: Mapping[Path, Ledger],
    listener: Listener,
) -> list[Outcome]:
    """Do all works, at most `order.most` at once; a picture that fails does not stop the others.

    `ledgers`, by folder, say what is done already; folders without one are done anew.

    Raises (in an ExceptionGroup):
        ConnectionFailed: the service cannot be reached at all.
        Unauthorized: it does not accept the key.
    """
    gate = Gate(order.most)

    def on_wait(seconds: float, problem: Exception) -> None:
        if not isinstance(problem, ConnectionFailed):
            gate.narrow()
        listener.waiting(seconds, problem)

    async def one(work: Work) -> Outcome:
        await gate.enter()
        try:
            outcome = await _do(client, work, order, ledgers.get(work.target.parent), listener)
        finally:
            await gate.leave()
        listener.ended(outcome)
        return outcome

    async with connect(replace(PATIENT, on_wait=on_wait)) as client, asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(work)) for work in works]
    return [task.result() for task in tasks]


async def _do(
    client: AsyncClient, work: Work, order: Order, ledger: Ledger | None, listener: Listener
) -> Outcome:
    files = work.results(order.kind)
    try:
        digest = await asyncio.to_thread(work.digest, order.kind) if ledger is not None else ""
        if ledger is not None and ledger.has(digest):
            if (left := ledger.left(digest)) is not None and await _clean_up(client, left):
                ledger.cleaned(digest)
            return Outcome(work, tuple(files.values()), skipped=True)
        _refuse_overwriting(files.values(), order, ledger)
        listener.started(work)
        key = ledger.begin(digest, list(files.values())) if ledger is not None else uuid.uuid4().hex
        try:
            run = await _run(client, work, order, key, files, listener)
        except NotFound:
            if ledger is None:
                raise
            # The job of a try that was killed has expired since.
            key = ledger.begin(digest, list(files.values()), anew=True)
            run = await _run(client, work, order, key, files, listener)
        job_id = run.upload.job_id
        if ledger is not None:
            ledger.end(digest, list(files.values()), None if order.keep_jobs else job_id)
        if not order.keep_jobs and await _clean_up(client, job_id) and ledger is not None:
            ledger.cleaned(digest)
    except (ConnectionFailed, Unauthorized):
        raise
    except (TapcutError, OSError) as error:
        return Outcome(work, error=_words(error))
    return Outcome(work, tuple(files.values()), run=run)


def _refuse_overwriting(files: Iterable[Path], order: Order, ledger: Ledger | None) -> None:
    for file in files:
        if file.exists() and not order.overwrite and not (ledger is not None and ledger.made(file)):
            raise WouldOverwrite(f"{file} is already there: --overwrite replaces it, -o writes elsewhere")


async def _run(
    client: AsyncClient, work: Work, order: Order, key: str, files: Mapping[str, Path], listener: Listener
) -> Run:
    """One job. Under the same key it is the same job, as far as it had come."""
    kind = order.kind
    upload = await client.upload(
        work.picture,
        on_progress=lambda done, total: listener.sent(work, done, total),
        idempotency_key=key,
    )
    try:
        await client.segment(
            upload.job_id,
            objects=work.objects if kind.normalized else upload.in_frame(work.objects),
            normalized=kind.normalized,
            outputs=kind.outputs,
            dilate_px=kind.dilate_px,
            feather_px=kind.feather_px,
            format=kind.format,
            idempotency_key=key,
        )
        status = await client.wait(
            upload.job_id,
            timeout_s=order.timeout_s,
            on_status=lambda status: listener.status(work, status),
        )
        for name, path in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            await client.download_to(upload.job_id, name, path)
    except BaseException:
        if not order.keep_jobs:
            await _clean_up(client, upload.job_id)
        raise
    return Run(upload, status)


async def _clean_up(client: AsyncClient, job_id: str) -> bool:
    """Whether the job is gone."""
    # It expires by itself: a service that is away now must hold up neither the batch nor Ctrl-C.
    with suppress(TapcutError, TimeoutError):
        async with asyncio.timeout(CLEAN_UP_S):
            await client.cleanup(job_id)
            return True
    return False


def _words(error: Exception) -> str:
    if isinstance(error, ApiError):
        return error.detail
    if isinstance(error, JobFailed):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def failed(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that ended with an error."""
    return [outcome for outcome in outcomes if outcome.error is not None]
