"""Events: a reader learns of each change, and lives through the loss of its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from storage import redis_keys
from storage.jobs import JobState
from storage.redis_events import RedisEvents
from tests.storage.samples import Store, new_id, until


@pytest.fixture
async def events(store: Store) -> AsyncIterator[RedisEvents]:
    events = RedisEvents(store.connection)
    yield events
    await events.close()


async def follow(store: Store, events: RedisEvents, job_id: str, seen: list[str]) -> None:
    """What the ingress does: read after each event until the job ends."""
    async for _ in events.subscribe(job_id, wake_s=60):
        job = await store.jobs.get(job_id)
        seen.append(f"{job.state} {job.stage} {job.progress}")
        if job.state is JobState.READY:
            return


async def test_reader_sees_each_change_at_once(store: Store, events: RedisEvents) -> None:
    job_id = await store.uploaded()
    seen: list[str] = []
    reader = asyncio.create_task(follow(store, events, job_id, seen))
    await until(lambda: "uploaded uploaded 0" in seen)
    await store.enqueued(job_id)
    await until(lambda: "processing queued 0" in seen)
    started = await store.begun(await store.taken())
    await store.queue.report(job_id, started.attempt, "encode", 20)
    await until(lambda: "processing encode 20" in seen)
    await store.committed(started)
    await asyncio.wait_for(reader, 10)


async def test_many_readers_share_one_connection(store: Store, events: RedisEvents) -> None:
    jobs = [await store.started() for _ in range(20)]
    logs: list[list[str]] = [[] for _ in range(40)]
    readers = [
        asyncio.create_task(follow(store, events, jobs[i % 20].job.id, log)) for i, log in enumerate(logs)
    ]
    await until(lambda: all(logs))
    subscribers = await store.connection.client.client_list(_type="pubsub")
    assert len(subscribers) == 1
    for started in jobs:
        await store.committed(started)
    await asyncio.wait_for(asyncio.gather(*readers), 10)


async def _listening(store: Store) -> bool:
    return int(await store.connection.client.pubsub_numpat()) == 1


async def test_readers_come_and_go_while_the_connection_is_cut(store: Store, events: RedisEvents) -> None:
    ids = [new_id() for _ in range(5)]

    async def read_for_a_while(job_id: str) -> None:
        for _ in range(10):
            changes = events.subscribe(job_id, wake_s=60)
            await anext(changes)
            await anext(changes)  # a change, or the listener's return
            await changes.aclose()

    readers = [asyncio.create_task(read_for_a_while(job_id)) for job_id in ids * 4]
    while not all(reader.done() for reader in readers):
        await store.connection.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        for job_id in ids:
            await store.connection.client.publish(redis_keys.EVENTS + job_id, "")
        await asyncio.sleep(0.005)
    await asyncio.wait_for(asyncio.gather(*readers), 30)


async def test_reader_lives_through_a_lost_connection(store: Store, events: RedisEvents) -> None:
    started = await store.started()
    seen: list[str] = []
    reader = asyncio.create_task(follow(store, events, started.job.id, seen))
    await until(lambda: _listening(store))
    for _ in range(3):
        assert await store.connection.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
        before = len(seen)
        await until(lambda: _listening(store))
        await until(lambda before=before: len(seen) > before)  # what was missed meanwhile is read
    await store.committed(started)
    await asyncio.wait_for(reader, 10)


async def test_reader_of_a_deleted_job_is_woken(store: Store, events: RedisEvents) -> None:
    job_id = await store.uploaded()
    woken = 0
    changes = events.subscribe(job_id, wake_s=60)
    await anext(changes)
    await until(lambda: _listening(store))

    async def count() -> None:
        nonlocal woken
        async for _ in changes:
            woken += 1

    counting = asyncio.create_task(count())
    await until(lambda: woken)  # the subscription took hold
    before = woken
    await store.jobs.delete(job_id)
    await until(lambda: woken > before)
    counting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await counting


async def test_reader_wakes_by_the_clock_without_events(store: Store, events: RedisEvents) -> None:
    wakes = 0
    async for _ in events.subscribe(new_id(), wake_s=0.01):
        wakes += 1
        if wakes == 5:
            break
