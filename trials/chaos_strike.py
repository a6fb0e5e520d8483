"""One injection of a fault under load: when it comes, how long recovery takes, what it cost.

Owns the measurement. Recovery runs from the fault (or, for one that lasts, from its end) to the end of
a job that is sent after it, so it includes that job's own time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from trials.chaos_audit import ended_in_store
from trials.chaos_client import CallFailedError
from trials.chaos_load import Ledger
from trials.chaos_scene import Fault, FaultFailedError, Scene, quiet

SETTLE_S = 120.0  # within which all jobs in flight have to end afterwards


@dataclass
class Row:
    """What one kind of fault did, over all its injections."""

    injected: int = 0
    in_flight: int = 0
    failed: list[str] = field(default_factory=list)
    retried: int = 0
    lost: int = 0
    stuck: int = 0
    duplicates: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)


async def strike(name: str, fault: Fault, scene: Scene, row: Row, say: Callable[[str], None]) -> None:
    """Inject one fault at a random moment under load, measure, let all jobs end, count."""
    load, ledger, calls = scene.load, scene.load.ledger, scene.load.ledger.calls
    load.go_on()
    deadline = time.monotonic() + 20
    while len(ledger.in_flight) < load.clients // 2 and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    await asyncio.sleep(scene.random.uniform(0, 1.0))
    at_risk = list(ledger.in_flight)
    failed, retried = len(calls.failures), calls.retried
    ready, deleted, committed = ready_jobs(ledger), deleted_jobs(ledger), ended_in_store(scene.store)
    gap = asyncio.create_task(_longest_gap(scene.service.url))
    outcome = ""
    try:
        from_s = await fault(scene)
        probe = await load.one_job()
        if probe.ended and probe.ended["status"] == "ready":
            row.recoveries_s.append(time.monotonic() - from_s)
            outcome = f"recovered in {row.recoveries_s[-1]:.1f} s"
        else:
            row.failed.append(f"the job after it ended as {probe.ended}")
    except (FaultFailedError, CallFailedError) as error:
        row.failed.append(str(error))
    gap.cancel()
    row.gaps_s.append(await gap)
    await quiet(scene, SETTLE_S)
    row.injected += 1
    row.in_flight += len(at_risk)
    row.retried += calls.retried - retried
    row.failed += [text for text in calls.failures[failed:] if text not in row.failed]
    row.stuck += sum(job.stuck for job in at_risk)
    row.lost += sum(not (job.ended or job.deleted or job.stuck) for job in at_risk)
    # Of a deleted job nobody can say whether it had been committed.
    unknown = deleted_jobs(ledger) - deleted
    commits = ended_in_store(scene.store) - committed
    row.duplicates += max(0, commits - (ready_jobs(ledger) - ready) - unknown)
    say(
        f"{name}: {len(at_risk)} jobs in flight, {outcome or 'FAILED: ' + row.failed[-1]}, "
        f"longest time without a good answer {row.gaps_s[-1]:.1f} s, {len(ledger.jobs)} jobs accepted so far"
    )


def ready_jobs(ledger: Ledger) -> int:
    """Jobs that ended as ready."""
    return sum(1 for job in ledger.jobs.values() if job.ended and job.ended["status"] == "ready")


def deleted_jobs(ledger: Ledger) -> int:
    """Jobs that their clients deleted."""
    return sum(job.deleted for job in ledger.jobs.values())


async def _longest_gap(url: str) -> float:
    """Until cancelled: the longest time in which no request was answered well, s."""
    longest, last_good = 0.0, time.monotonic()
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=2, limits=limits) as http:
        try:
            while True:
                try:
                    good = (await http.get("/metrics")).is_success
                except httpx.TransportError:
                    good = False
                now = time.monotonic()
                if good:
                    longest, last_good = max(longest, now - last_good), now
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            return max(longest, time.monotonic() - last_good)
