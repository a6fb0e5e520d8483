"""Removes what nobody needs any more: jobs past their time, and files without a job.

Owns the order of removal: first the state, then the files, so that a job that can be read has its
files; what a crash leaves between the two, the orphan sweep finds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from storage.errors import FileStoreUnavailable
from storage.files import FileStore, Swept, is_job_id
from storage.jobs import Deleted, JobStore

logger = logging.getLogger(__name__)

_LISTED_AT_ONCE, _REMOVED_AT_ONCE = 500, 16  # jobs


@dataclass(frozen=True, slots=True)
class SweepPolicy:
    """How old is too old, in seconds, and how much one pass may do."""

    orphan_s: float = 3600.0  # a folder without a job may be an upload that is not recorded yet
    stale_s: float = 3600.0  # temporary files
    embedding_ttl_s: float = 24 * 3600.0  # since last used
    embeddings_max_bytes: int = 20 << 30
    consumer_idle_s: float = 3600.0
    jobs_per_pass: int = 10_000  # in half a minute, more than a cluster takes in


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one pass removed."""

    expired_jobs: int
    orphan_folders: int
    consumers: int
    files: Swept


async def remove_job(jobs: JobStore, files: FileStore, job_id: str) -> bool:
    """Remove a job's state, its files, and its picture's embedding if no other job has that picture.

    False if there was no such job. Whoever runs it loses the lease, and what it still writes fails. While
    the file store is away the job is gone all the same; its files are left to the sweep.
    """
    if not is_job_id(job_id):
        return False
    deleted = await jobs.delete(job_id)
    try:
        await _remove_files(files, job_id, deleted)
    except FileStoreUnavailable as error:
        logger.warning(
            "files of a deleted job are left to the sweep: %s", error, extra={"tapcut_job": job_id}
        )
    return deleted.existed


async def _remove_files(files: FileStore, job_id: str, deleted: Deleted) -> None:
    await asyncio.to_thread(files.delete_job, job_id)
    if deleted.unused_digest is not None:
        await asyncio.to_thread(files.delete_embeddings, deleted.unused_digest)


async def sweep(jobs: JobStore, files: FileStore, policy: SweepPolicy) -> SweepReport:
    """One bounded pass. Safe beside others, but let one process do it: see `JobStore.hold_sweep`."""
    expired = await _remove_expired(jobs, files, policy)
    orphans = await _orphans(jobs, files, policy)
    await _each(orphans, lambda job_id: asyncio.to_thread(files.delete_job, job_id))

    swept = await asyncio.to_thread(
        lambda: files.sweep(
            stale_s=policy.stale_s,
            embedding_ttl_s=policy.embedding_ttl_s,
            embeddings_max_bytes=policy.embeddings_max_bytes,
        )
    )
    consumers = await jobs.forget_consumers(policy.consumer_idle_s)
    return SweepReport(expired, len(orphans), consumers, swept)


async def _remove_expired(jobs: JobStore, files: FileStore, policy: SweepPolicy) -> int:
    """Remove jobs past their time, as many as one pass may; how many."""
    removed = 0

    async def remove(job_id: str) -> None:
        nonlocal removed
        deleted = await jobs.delete_expired(job_id)
        if deleted is not None:  # a /segment may have renewed it since it was listed
            removed += 1
            await _remove_files(files, job_id, deleted)

    while some := await jobs.expired(min(_LISTED_AT_ONCE, policy.jobs_per_pass - removed)):
        await _each(some, remove)
        if removed >= policy.jobs_per_pass:
            break
    return removed


async def _each(job_ids: Sequence[str], remove: Callable[[str], Awaitable[None]]) -> None:
    for start in range(0, len(job_ids), _REMOVED_AT_ONCE):
        await asyncio.gather(*(remove(job_id) for job_id in job_ids[start : start + _REMOVED_AT_ONCE]))


async def _orphans(jobs: JobStore, files: FileStore, policy: SweepPolicy) -> list[str]:
    """Old folders without a job, as many as one pass may remove."""
    old = await asyncio.to_thread(
        lambda: [folder.job_id for folder in files.jobs() if folder.age_s > policy.orphan_s]
    )
    orphans: list[str] = []
    for start in range(0, len(old), _LISTED_AT_ONCE):
        some = old[start : start + _LISTED_AT_ONCE]
        orphans += set(some) - await jobs.existing(some)
        if len(orphans) >= policy.jobs_per_pass:
            break
    return orphans[: policy.jobs_per_pass]
