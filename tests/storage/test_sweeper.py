"""State and files go together."""

from __future__ import annotations

import asyncio
import os

import pytest

from storage.errors import FileMissing, JobNotFound, LeaseLost, StoreUnavailable
from storage.files import embedding_key, job_key
from storage.redis_connection import RedisConnection
from storage.redis_jobs import RedisJobs
from storage.shared_folder import SharedFolder
from storage.sweeper import SweepPolicy, remove_job, sweep
from tests.storage.samples import DIGEST, Store, new_id, until

NOTHING_IS_OLD = SweepPolicy()
ALL_IS_OLD = SweepPolicy(orphan_s=-1, stale_s=-1, embedding_ttl_s=3600)
EMBEDDING = embedding_key(DIGEST, "x")


async def uploaded(store: Store, folder: SharedFolder, ttl_s: float = 60) -> str:
    job_id = new_id()
    folder.make_job(job_id)
    folder.put(job_key(job_id, "original.png"), b"x")
    return await store.uploaded(job_id, ttl_s=ttl_s)


async def test_remove_job_takes_state_files_and_the_last_embedding(
    store: Store, folder: SharedFolder
) -> None:
    first, second = await uploaded(store, folder), await uploaded(store, folder)
    folder.put(EMBEDDING, b"x")
    assert await remove_job(store.jobs, folder, first)
    assert folder.get(EMBEDDING) == b"x"
    assert not (folder.root / first).exists()
    assert await remove_job(store.jobs, folder, second)
    with pytest.raises(FileMissing):
        folder.get(EMBEDDING)
    assert not await remove_job(store.jobs, folder, second)
    assert not await remove_job(store.jobs, folder, "../../etc")


async def test_remove_job_while_it_runs_leaves_nothing(store: Store, folder: SharedFolder) -> None:
    job_id = await uploaded(store, folder)
    await store.enqueued(job_id)
    started = await store.begun(await store.taken())
    await asyncio.to_thread(folder.put, job_key(job_id, "mask_0.png", started.attempt), b"x")
    await remove_job(store.jobs, folder, job_id)
    with pytest.raises(FileMissing):
        await asyncio.to_thread(folder.put, job_key(job_id, "mask_1.png", started.attempt), b"x")
    with pytest.raises(LeaseLost):
        await store.committed(started)
    assert not (folder.root / job_id).exists()
    with pytest.raises(JobNotFound):
        await store.jobs.get(job_id)


async def test_sweep_removes_expired_jobs_and_leaves_the_others(store: Store, folder: SharedFolder) -> None:
    gone, kept = await uploaded(store, folder, ttl_s=0.001), await uploaded(store, folder)
    report = await until(lambda: _expired(store, folder))
    assert report.expired_jobs == 1
    assert await store.jobs.existing([gone, kept]) == {kept}
    assert {found.job_id for found in folder.jobs()} == {kept}


async def _expired(store: Store, folder: SharedFolder) -> object:
    report = await sweep(store.jobs, folder, NOTHING_IS_OLD)
    return report if report.expired_jobs else None


async def test_sweep_removes_old_folders_without_a_job(store: Store, folder: SharedFolder) -> None:
    orphan, kept = new_id(), await uploaded(store, folder)
    folder.make_job(orphan)
    (folder.root / "holiday").mkdir()
    assert (await sweep(store.jobs, folder, NOTHING_IS_OLD)).orphan_folders == 0
    assert (await sweep(store.jobs, folder, ALL_IS_OLD)).orphan_folders == 1
    assert not (folder.root / orphan).exists()
    assert folder.get(job_key(kept, "original.png")) == b"x"
    assert (folder.root / "holiday").exists()


async def test_sweep_finds_orphans_behind_many_old_jobs_and_is_bounded(
    store: Store, folder: SharedFolder
) -> None:
    kept = [await uploaded(store, folder) for _ in range(8)]
    for _ in range(5):
        folder.make_job(new_id())
    policy = SweepPolicy(orphan_s=-1, jobs_per_pass=3)
    removed = [(await sweep(store.jobs, folder, policy)).orphan_folders for _ in range(3)]
    assert removed == [3, 2, 0]
    assert {found.job_id for found in folder.jobs()} == set(kept)


async def test_sweep_without_redis_removes_no_file(folder: SharedFolder) -> None:
    orphan = new_id()
    folder.make_job(orphan)
    os.utime(folder.root / orphan, (0, 0))
    connection = RedisConnection("redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable):
        await sweep(RedisJobs(connection), folder, ALL_IS_OLD)
    assert (folder.root / orphan).exists()
    await connection.close()
