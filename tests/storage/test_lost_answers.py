"""A connection that breaks after Redis did the work and before the answer arrived.

redis-py then sends the command again; the store must not do it twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from storage import redis_keys
from storage.errors import JobBusy
from storage.jobs import JobState, ReservationState
from storage.redis_connection import RedisConnection
from storage.redis_jobs import RedisJobs
from storage.redis_outbox import RedisOutbox
from storage.redis_queue import RedisQueue
from tests.storage.losing_proxy import LosingProxy
from tests.storage.samples import Store, until


@pytest.fixture
async def lossy(store: Store) -> AsyncIterator[tuple[Store, LosingProxy]]:
    proxy = LosingProxy(int(store.url.rpartition(":")[2].partition("/")[0]))
    url = f"{store.url.rpartition(':')[0]}:{await proxy.start()}/0"
    connection = RedisConnection(url)
    behind = Store(url, connection, RedisJobs(connection), RedisQueue(connection))
    await behind.committed(await behind.started())  # all scripts are loaded, a connection is open
    await connection.client.delete(redis_keys.STATS)
    yield behind, proxy
    assert proxy.lost == 1
    await connection.close()
    await proxy.close()


async def test_create_is_done_once(lossy: tuple[Store, LosingProxy]) -> None:
    store, proxy = lossy
    proxy.lose_next = True
    await store.uploaded()
    assert (await store.jobs.metrics()).jobs["uploaded"] == 1


async def test_enqueue_is_done_once_and_is_not_busy_with_itself(lossy: tuple[Store, LosingProxy]) -> None:
    store, proxy = lossy
    job_id = await store.uploaded()
    proxy.lose_next = True
    await store.enqueued(job_id)
    assert (await store.jobs.get(job_id)).run == 1
    assert await store.connection.client.xlen(redis_keys.QUEUE) == 1
    with pytest.raises(JobBusy):
        await store.enqueued(job_id)


async def test_begin_counts_one_try(lossy: tuple[Store, LosingProxy]) -> None:
    store, proxy = lossy
    await store.enqueued()
    delivery = await store.taken()
    proxy.lose_next = True
    started = await store.begun(delivery)
    assert (started.attempt, started.job.tries) == (1, 1)
    assert (await store.committed(started)).state is JobState.READY


async def test_commit_is_done_once_and_is_not_lost(lossy: tuple[Store, LosingProxy]) -> None:
    store, proxy = lossy
    started = await store.started()
    proxy.lose_next = True
    await store.committed(started)
    assert (await store.jobs.metrics()).finished_total["ready"] == 1


async def test_take_whose_answer_was_lost_is_reclaimed(lossy: tuple[Store, LosingProxy]) -> None:
    store, proxy = lossy
    job_id = await store.enqueued()
    proxy.lose_next = True
    assert await store.queue.take("one") is None
    found = await until(lambda: store.queue.reclaim("one", 20))
    assert [delivery.job_id for delivery in found] == [job_id]


async def test_reservation_is_still_ones_own(lossy: tuple[Store, LosingProxy]) -> None:
    store, proxy = lossy
    await store.jobs.reserve("warm", "", 60)
    proxy.lose_next = True
    mine = await store.jobs.reserve("key", "", 60)
    assert mine.state is ReservationState.NEW
    assert await store.jobs.complete("key", "", mine.token, "{}", 60)


async def test_a_run_whose_end_was_told_twice_has_one_webhook(lossy: tuple[Store, LosingProxy]) -> None:
    store, proxy = lossy
    job_id = await store.uploaded()
    await store.jobs.enqueue(job_id, "{}", 1, max_queued=9, ttl_s=60, callback_url="https://example.com/")
    started = await store.begun(await store.taken())
    proxy.lose_next = True
    await store.committed(started)
    assert (await store.jobs.metrics()).webhooks.queued == 1
    assert len(await RedisOutbox(store.connection).claim(9, 60, 9, {})) == 1


@pytest.mark.parametrize("outcome", ["delivered", "retried", "given_up"])
async def test_webhook_is_settled_once(lossy: tuple[Store, LosingProxy], outcome: str) -> None:
    store, proxy = lossy
    outbox = RedisOutbox(store.connection)
    # All scripts are loaded by a first one.
    for last in (False, True):
        job_id = await store.uploaded()
        await store.jobs.enqueue(job_id, "{}", 1, max_queued=9, ttl_s=60, callback_url="https://example.com/")
        await store.committed(await store.begun(await store.taken()))
        (webhook,) = await outbox.claim(9, 60, 9, {})
        proxy.lose_next = last
        if outcome == "delivered":
            await outbox.delivered(webhook)
        elif outcome == "retried":
            await outbox.retry(webhook, 60)
        else:
            await outbox.give_up(webhook, "broken")
    assert getattr((await store.jobs.metrics()).webhooks, outcome) == 2


async def test_webhook_whose_claim_was_lost_comes_up_again(lossy: tuple[Store, LosingProxy]) -> None:
    store, proxy = lossy
    outbox = RedisOutbox(store.connection)
    await outbox.claim(9, 0.2, 9, {})
    job_id = await store.uploaded()
    await store.jobs.enqueue(job_id, "{}", 1, max_queued=9, ttl_s=60, callback_url="https://example.com/")
    await store.committed(await store.begun(await store.taken()))
    proxy.lose_next = True
    await outbox.claim(9, 0.2, 9, {})
    (webhook,) = await until(lambda: outbox.claim(9, 60, 9, {}))
    assert webhook.job.id == job_id
