"""Jobs as values, and what a job store must do for the ingress and the sweeper.

Owns the states, the frozen values and the `JobStore` protocol. Knows nothing of Redis: keys, scripts
and times to live are in `redis_jobs.py`. The runner's side is `job_queue.py`.

States: `uploaded` -> `processing` -> `ready` or `error`; from both of these `processing` again. A
job that waits in the queue is `processing` with stage "queued".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from storage.job_metrics import StoreMetrics

QUEUED_STAGE = "queued"


class JobState(StrEnum):
    """The four states that a client sees."""

    UPLOADED = "uploaded"
    PROCESSING = "processing"
    READY = "ready"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Picture:
    """The uploaded picture of a job, as stored and as it came.

    `digest` names its content (and so its embedding); sizes are in pixels; `notes` tell the user what
    was changed on the way in.
    """

    digest: str
    width: int
    height: int
    uploaded_width: int
    uploaded_height: int
    format: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """One job as read at one moment. Times are seconds since the epoch, by the store's clock."""

    id: str
    state: JobState
    stage: str  # "uploaded", "queued", then the runner's words; "ready"; after an error the stage it broke in
    progress: int  # 0..100; never goes back within a run
    created_at: float
    updated_at: float
    expires_at: float
    picture: Picture
    run: int  # accepted segment requests, 0 before the first
    attempt: int  # fencing number over all runs, never reset
    tries: int  # attempts of this run that count against its limit
    num_objects: int
    request: str  # JSON text of the current run, "" before the first
    result: str | None  # JSON text, of a ready job only
    files: Mapping[str, str]  # name for the client -> key in the file store
    error: str | None
    owner: str  # "" or the tenant's opaque hash
    queue_position: int | None  # 1 = next to start; None when not waiting


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of a delete. `unused_digest`: the picture whose last job this was."""

    existed: bool
    unused_digest: str | None


@dataclass(frozen=True, slots=True)
class Enqueued:
    """An accepted run. `repeated`: the same idempotency key was accepted before; nothing new was queued."""

    run: int
    num_objects: int
    repeated: bool


class ReservationState(StrEnum):
    """What the store knows of an idempotency key."""

    NEW = "new"
    PENDING = "pending"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Answer to `reserve`.

    NEW: go on, then complete or release with `token`. PENDING: another call is at it, retry later.
    DONE: repeat `answer`.
    """

    state: ReservationState
    token: str
    answer: str | None


class JobStore(Protocol):
    """The state of all jobs. Every call is atomic; every call may raise `StoreUnavailable`."""

    async def create(
        self, job_id: str, picture: Picture, files: Mapping[str, str], ttl_s: float, owner: str = ""
    ) -> Job:
        """Record an uploaded job. Its `files` outlive every run. Raises `JobExists`."""

    async def get(self, job_id: str, owner: str | None = None) -> Job:
        """The job with its queue position, in one round trip; with `owner`, only if it is that tenant's.

        Raises `JobNotFound`, in the same way and time for another's job as for none.
        """

    async def delete(self, job_id: str) -> Deleted:
        """Forget the job in any state; whoever runs it loses the lease."""

    async def delete_expired(self, job_id: str) -> Deleted | None:
        """As `delete`, if the job is past its time; None, and nothing done, if it was given more by now."""

    async def existing(self, job_ids: Iterable[str]) -> frozenset[str]:
        """Those of `job_ids` that have a job."""

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
        """Accept a run and queue it; its end is told to `callback_url`.

        Raises `JobNotFound`, `JobBusy`, `QueueFull`, `OwnerQueueFull`, `KeyReused`.
        """

    async def accepted(self, job_id: str, idempotency_key: str) -> bool:
        """Whether a run of the job was accepted with this key."""

    async def reserve(self, key: str, owner: str, hold_s: float) -> Reservation:
        """Claim an idempotency key for an upload, for at most `hold_s`."""

    async def renew(self, key: str, owner: str, token: str, hold_s: float) -> bool:
        """Keep a reserved key for `hold_s` from now; false if another call has it."""

    async def complete(self, key: str, owner: str, token: str, answer: str, ttl_s: float) -> bool:
        """Keep the answer of a reserved key; false if the reservation had run out."""

    async def release(self, key: str, owner: str, token: str) -> bool:
        """Give a reserved key back after a failure, so that the client may try again."""

    async def expired(self, limit: int, now: float | None = None) -> list[str]:
        """At most `limit` jobs past their time; processing jobs are given more time instead."""

    async def hold_sweep(self, token: str, lease_s: float) -> bool:
        """Take or renew the right to sweep; false while another token has it."""

    async def forget_consumers(self, idle_s: float) -> int:
        """Remove queue consumers that are idle that long and hold nothing; how many."""

    async def metrics(self) -> StoreMetrics:
        """Counts and histograms over all jobs."""

    async def ping(self) -> int:
        """Return when the store answers and accepts writes: how many jobs wait."""
