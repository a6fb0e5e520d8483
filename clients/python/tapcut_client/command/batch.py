"""Many pictures through the service, as many at once as it takes.

Owns the concurrency: it falls by half when the service refuses for now (429, 503) and grows by one
with each round of successes (additive increase, multiplicative decrease). Knows no terminal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tapcut_client.async_client import AsyncClient
from tapcut_client.command.work import Ledger, Work
from tapcut_client.errors import ConnectionFailed, TapcutError, Unauthorized
from tapcut_client.models import Status
from tapcut_client.process import Result
from tapcut_client.retry import RetryPolicy

# A batch runs unattended: it outlasts a full queue, a used-up rate and a restart of the service.
PATIENT = RetryPolicy(tries=500, total_s=900)


@dataclass(frozen=True, slots=True)
class Kind:
    """What is made of each picture: the service's outputs, and how its files are called here."""

    name: str
    outputs: tuple[str, ...]
    format: str
    rename: Callable[[str, int], str | None]  # file of the service, objects -> ending here; None: not kept


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one work ended. `error` None: its `files` are there; `skipped`: they were there before."""

    work: Work
    files: tuple[Path, ...] = ()
    error: str | None = None
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears of what happens."""

    started: Callable[[Work], None]
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
    kind: Kind,
    ledgers: Mapping[Path, Ledger],
    most: int,
    listener: Listener,
) -> list[Outcome]:
    """Do all works, at most `most` at once; a picture that fails does not stop the others.

    `ledgers`, by folder, say what is done already; folders without one are done anew.

    Raises (in an ExceptionGroup):
        ConnectionFailed: the service cannot be reached at all.
        Unauthorized: it does not accept the key.
    """
    gate = Gate(most)

    def on_wait(seconds: float, problem: Exception) -> None:
        if not isinstance(problem, ConnectionFailed):
            gate.narrow()
        listener.waiting(seconds, problem)

    async def one(work: Work) -> Outcome:
        await gate.enter()
        try:
            outcome = await _do(client, work, kind, ledgers.get(work.target.parent), listener)
        finally:
            await gate.leave()
        listener.ended(outcome)
        return outcome

    async with connect(replace(PATIENT, on_wait=on_wait)) as client, asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(work)) for work in works]
    return [task.result() for task in tasks]


async def _do(
    client: AsyncClient, work: Work, kind: Kind, ledger: Ledger | None, listener: Listener
) -> Outcome:
    try:
        digest = await asyncio.to_thread(work.digest, kind.name) if ledger is not None else ""
        if ledger is not None and ledger.has(digest):
            return Outcome(work, skipped=True)
        listener.started(work)
        result = await client.process(
            work.picture,
            work.objects,
            kind.outputs,
            format=kind.format,
            on_status=lambda status: listener.status(work, status),
        )
        files = await asyncio.to_thread(_save, work, kind, result)
        if ledger is not None:
            ledger.add(digest, files)
    except (ConnectionFailed, Unauthorized):
        raise
    except (TapcutError, OSError) as error:
        return Outcome(work, error=str(error))
    return Outcome(work, tuple(files))


def _save(work: Work, kind: Kind, result: Result) -> list[Path]:
    files = []
    for name, data in sorted(result.files.items()):
        ending = kind.rename(name, len(work.objects))
        if ending is None:
            continue
        target = work.target.with_name(work.target.name + ending)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        part.write_bytes(data)
        part.replace(target)
        files.append(target)
    return files


def failed(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that ended with an error."""
    return [outcome for outcome in outcomes if outcome.error is not None]
