"""State and files go together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from storage.errors import FileMissing, JobNotFound, LeaseLost, StoreUnavailable
from storage.files import embedding_key, job_key
from storage.jobs import JobState
from storage.redis_connection import RedisConnection
from storage.redis_jobs import RedisJobs
from storage.sweeper import SweepPolicy, remove_job, sweep
from tests.storage.samples import DIGEST, Store, new_id, until
from tests.storage.shelves import Shelf

NOTHING_IS_OLD = SweepPolicy()
ALL_IS_OLD = SweepPolicy(orphan_s=-1, stale_s=-1, embedding_ttl_s=3600)
EMBEDDING = embedding_key(DIGEST, "x")


async def uploaded(store: Store, shelf: Shelf, ttl_s: float = 60) -> str:
    job_id = new_id()
    shelf.files.make_job(job_id)
    shelf.files.put(job_key(job_id, "original.png"), b"x")
    return await store.uploaded(job_id, ttl_s=ttl_s)


async def test_remove_job_takes_state_files_and_the_last_embedding(store: Store, shelf: Shelf) -> None:
    first, second = await uploaded(store, shelf), await uploaded(store, shelf)
    shelf.files.put(EMBEDDING, b"x")
    assert await remove_job(store.jobs, shelf.files, first)
    assert shelf.files.get(EMBEDDING) == b"x"
    assert not any(name.startswith(first) for name in shelf.names())
    assert await remove_job(store.jobs, shelf.files, second)
    with pytest.raises(FileMissing):
        shelf.files.get(EMBEDDING)
    assert not await remove_job(store.jobs, shelf.files, second)
    assert not await remove_job(store.jobs, shelf.files, "../../etc")


async def test_remove_job_while_it_runs_leaves_nothing(store: Store, shelf: Shelf) -> None:
    job_id = await uploaded(store, shelf)
    await store.enqueued(job_id)
    started = await store.begun(await store.taken())
    await asyncio.to_thread(shelf.files.put, job_key(job_id, "mask_0.png", started.attempt), b"x")
    await remove_job(store.jobs, shelf.files, job_id)
    with pytest.raises(FileMissing):
        await asyncio.to_thread(shelf.files.put, job_key(job_id, "mask_1.png", started.attempt), b"x")
    with pytest.raises(LeaseLost):
        await store.committed(started)
    assert not any(name.startswith(job_id) for name in shelf.names())
    with pytest.raises(JobNotFound):
        await store.jobs.get(job_id)


async def test_sweep_removes_expired_jobs_and_leaves_the_others(store: Store, shelf: Shelf) -> None:
    gone, kept = await uploaded(store, shelf, ttl_s=0.001), await uploaded(store, shelf)
    report = await until(lambda: _expired(store, shelf))
    assert report.expired_jobs == 1
    assert await store.jobs.existing([gone, kept]) == {kept}
    assert {found.job_id for found in shelf.files.jobs()} == {kept}


async def test_sweep_spares_a_job_that_was_segmented_since_it_was_listed(store: Store, shelf: Shelf) -> None:
    job_id = await uploaded(store, shelf, ttl_s=0.001)
    await until(lambda: store.jobs.expired(1))

    class SegmentedMeanwhile:
        def __getattr__(self, name: str) -> Any:
            return getattr(store.jobs, name)

        async def expired(self, limit: int, now: float | None = None) -> list[str]:
            found = await store.jobs.expired(limit, now)
            if found:
                await store.enqueued(job_id, ttl_s=60)
            return found

    report = await sweep(SegmentedMeanwhile(), shelf.files, NOTHING_IS_OLD)
    assert report.expired_jobs == 0
    assert shelf.files.get(job_key(job_id, "original.png")) == b"x"
    started = await store.begun(await store.taken())
    assert (await store.committed(started)).state is JobState.READY


async def test_one_pass_removes_all_that_expired_in_a_busy_half_minute(store: Store, shelf: Shelf) -> None:
    ids = [await uploaded(store, shelf, ttl_s=0.001) for _ in range(530)]
    await until(lambda: _all_over(store, len(ids)))
    assert (await sweep(store.jobs, shelf.files, NOTHING_IS_OLD)).expired_jobs == len(ids)
    assert not shelf.names()


async def _all_over(store: Store, count: int) -> bool:
    return len(await store.jobs.expired(count)) == count


async def _expired(store: Store, shelf: Shelf) -> object:
    report = await sweep(store.jobs, shelf.files, NOTHING_IS_OLD)
    return report if report.expired_jobs else None


async def test_sweep_removes_old_folders_without_a_job(store: Store, shelf: Shelf) -> None:
    orphan, kept = new_id(), await uploaded(store, shelf)
    shelf.files.make_job(orphan)
    assert (await sweep(store.jobs, shelf.files, NOTHING_IS_OLD)).orphan_folders == 0
    assert (await sweep(store.jobs, shelf.files, ALL_IS_OLD)).orphan_folders == 1
    assert not any(found.job_id == orphan for found in shelf.files.jobs())
    assert shelf.files.get(job_key(kept, "original.png")) == b"x"


async def test_sweep_finds_orphans_behind_many_old_jobs_and_is_bounded(store: Store, shelf: Shelf) -> None:
    kept = [await uploaded(store, shelf) for _ in range(8)]
    for _ in range(5):
        shelf.files.make_job(new_id())
    policy = SweepPolicy(orphan_s=-1, jobs_per_pass=3)
    removed = [(await sweep(store.jobs, shelf.files, policy)).orphan_folders for _ in range(3)]
    assert removed == [3, 2, 0]
    assert {found.job_id for found in shelf.files.jobs()} == set(kept)


async def test_sweep_without_redis_removes_no_file(shelf: Shelf) -> None:
    orphan = new_id()
    shelf.files.make_job(orphan)
    shelf.age(orphan, 1e6)
    connection = RedisConnection("redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable):
        await sweep(RedisJobs(connection), shelf.files, ALL_IS_OLD)
    assert any(found.job_id == orphan for found in shelf.files.jobs())
    await connection.close()
