"""Removes what nobody needs any more: jobs past their time, and files without a job.

Owns the order of removal: first the state, then the files, so that a job that can be read has its
files; what a crash leaves between the two, the orphan sweep finds.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from storage.errors import FileStoreUnavailable
from storage.files import FileStore, Swept, is_job_id
from storage.jobs import Deleted, JobStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweepPolicy:
    """How old is too old, in seconds, and how much one pass may do."""

    orphan_s: float = 3600.0  # a folder without a job may be an upload that is not recorded yet
    stale_s: float = 3600.0  # temporary files
    embedding_ttl_s: float = 24 * 3600.0  # since last used
    embeddings_max_bytes: int = 20 << 30
    consumer_idle_s: float = 3600.0
    jobs_per_pass: int = 500


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
    over = await jobs.expired(policy.jobs_per_pass)
    for job_id in over:
        await _remove_files(files, job_id, await jobs.delete(job_id))

    orphans = await _orphans(jobs, files, policy)
    for job_id in orphans:
        await asyncio.to_thread(files.delete_job, job_id)

    swept = await asyncio.to_thread(
        lambda: files.sweep(
            stale_s=policy.stale_s,
            embedding_ttl_s=policy.embedding_ttl_s,
            embeddings_max_bytes=policy.embeddings_max_bytes,
        )
    )
    consumers = await jobs.forget_consumers(policy.consumer_idle_s)
    return SweepReport(len(over), len(orphans), consumers, swept)


async def _orphans(jobs: JobStore, files: FileStore, policy: SweepPolicy) -> list[str]:
    """Old folders without a job, as many as one pass may remove."""
    old = await asyncio.to_thread(
        lambda: [folder.job_id for folder in files.jobs() if folder.age_s > policy.orphan_s]
    )
    orphans: list[str] = []
    for start in range(0, len(old), policy.jobs_per_pass):
        some = old[start : start + policy.jobs_per_pass]
        orphans += set(some) - await jobs.existing(some)
        if len(orphans) >= policy.jobs_per_pass:
            break
    return orphans[: policy.jobs_per_pass]
