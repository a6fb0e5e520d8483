"""The queue of jobs as a runner sees it: deliveries, leases, and the `JobQueue` protocol.

Delivery is at least once; `attempt` fences, so that of all attempts exactly one commits. A runner
holds a delivery by a lease: it beats (see `lease_keeper.py`), or another runner reclaims it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from storage.job_metrics import StageTiming
from storage.jobs import Job


@dataclass(frozen=True, slots=True)
class Delivery:
    """One entry of the queue in the hands of one consumer."""

    entry_id: str
    job_id: str
    run: int
    consumer: str


@dataclass(frozen=True, slots=True)
class Started:
    """A delivery whose attempt has begun. All further calls name `attempt`."""

    delivery: Delivery
    job: Job
    attempt: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """Runs that have not ended, of all runners together, at one moment."""

    waiting: int
    in_hand: int  # taken; also by a runner that has died since

    @property
    def jobs(self) -> int:
        """All of them."""
        return self.waiting + self.in_hand


class JobQueue(Protocol):
    """Taking, running and ending jobs. Every call is atomic and may raise `StoreUnavailable`."""

    async def take(self, consumer: str, block_ms: int = 0) -> Delivery | None:
        """The next job, given-back ones first; None when none came within `block_ms` (at most 2000)."""

    async def reclaim(
        self, consumer: str, min_idle_ms: int, *, holding: Collection[Delivery] = (), limit: int = 1
    ) -> list[Delivery]:
        """Take over at most `limit` deliveries whose lease ran out, none of `holding`."""

    async def begin(self, delivery: Delivery) -> Started | None:
        """Open a new attempt; None when there is nothing to do (gone, ended, reclaimed, or out of tries)."""

    async def heartbeat(self, deliveries: Collection[Delivery]) -> frozenset[Delivery]:
        """Renew the leases; those that are still the consumer's own."""

    async def report(
        self, job_id: str, attempt: int, stage: str, progress: int, files: Mapping[str, str] | None = None
    ) -> None:
        """Tell stage, progress (0..100) and finished files. Raises `LeaseLost`."""

    async def commit(
        self,
        delivery: Delivery,
        attempt: int,
        result: str,
        files: Mapping[str, str],
        timings: Sequence[StageTiming] = (),
    ) -> None:
        """End the job as ready, once. Raises `LeaseLost`."""

    async def fail(
        self, delivery: Delivery, attempt: int, error: str, timings: Sequence[StageTiming] = ()
    ) -> None:
        """End the job as error, once. Raises `LeaseLost`."""

    async def give_back(self, delivery: Delivery, attempt: int) -> bool:
        """Put the job back for others at once, the try not counted; false if it was no longer ours."""

    async def backlog(self) -> Backlog:
        """What there is to do, read together."""
