"""Webhooks in Redis: put in by what ends a run, taken and settled by the sender."""

from __future__ import annotations

import pytest

from storage import redis_keys
from storage.errors import KeyReused
from storage.job_queue import Started
from storage.jobs import JobState
from storage.redis_connection import RedisConnection
from storage.redis_outbox import RedisOutbox
from storage.redis_queue import MAX_TRIES
from storage.webhooks import Webhook
from tests.storage.samples import Store, until

URL = "https://example.com/hook?token=1"


@pytest.fixture
def outbox(store: Store) -> RedisOutbox:
    return RedisOutbox(store.connection)


async def begun(store: Store, url: str | None = URL, job_id: str | None = None) -> Started:
    job_id = job_id or await store.uploaded()
    await store.jobs.enqueue(job_id, "{}", 1, max_queued=1000, ttl_s=60, callback_url=url)
    return await store.begun(await store.taken())


async def claim(outbox: RedisOutbox, lease_s: float = 60, limit: int = 100) -> list[Webhook]:
    return await outbox.claim(limit, lease_s, 100, {})


async def test_a_run_that_ends_ready_leaves_one_webhook_with_its_job(
    store: Store, outbox: RedisOutbox
) -> None:
    job = await store.committed(await begun(store))
    (webhook,) = await claim(outbox)
    assert (webhook.url, webhook.receiver, webhook.tries) == (URL, "example.com", 0)
    assert (webhook.job.id, webhook.job.run, webhook.job.state) == (job.id, 1, JobState.READY)
    assert (webhook.job.result, webhook.job.files, webhook.job.updated_at) == (
        job.result,
        job.files,
        job.updated_at,
    )
    assert job.id not in webhook.id
    assert "token=1" not in repr(webhook)


async def test_a_run_that_ends_as_error_leaves_one(store: Store, outbox: RedisOutbox) -> None:
    started = await begun(store)
    await store.queue.fail(started.delivery, started.attempt, "There is no object")
    (webhook,) = await claim(outbox)
    assert (webhook.job.state, webhook.job.error) == (JobState.ERROR, "There is no object")


async def test_a_run_that_is_put_aside_after_its_tries_leaves_one(store: Store, outbox: RedisOutbox) -> None:
    started = await begun(store)
    for _ in range(MAX_TRIES):
        (delivery,) = await until(lambda: store.queue.reclaim("two", 0))
        await store.queue.begin(delivery)
    (webhook,) = await claim(outbox)
    assert webhook.job.id == started.job.id
    assert webhook.job.error is not None and "interrupted" in webhook.job.error
    # Sent again, the last begin finds nothing to do.
    await store.queue.begin(delivery)
    assert await claim(outbox) == []


async def test_a_run_without_callback_leaves_none_even_after_one_with(
    store: Store, outbox: RedisOutbox
) -> None:
    started = await begun(store)
    await store.committed(started)
    await store.committed(await begun(store, url=None, job_id=started.job.id))
    assert [webhook.job.run for webhook in await claim(outbox)] == [1]


async def test_each_run_has_its_own_webhook_and_its_own_end(store: Store, outbox: RedisOutbox) -> None:
    first = await begun(store)
    await store.queue.fail(first.delivery, first.attempt, "first")
    await store.committed(await begun(store, job_id=first.job.id))
    one, two = sorted(await claim(outbox), key=lambda webhook: webhook.job.run)
    assert (one.job.state, one.job.error, two.job.state) == ("error", "first", "ready")
    assert one.id != two.id


async def test_repeated_idempotency_key_with_another_callback_is_refused(store: Store) -> None:
    job_id = await store.uploaded()

    async def ask(url: str | None) -> bool:
        answer = await store.jobs.enqueue(
            job_id, "{}", 1, max_queued=9, ttl_s=60, idempotency_key="k", callback_url=url
        )
        return answer.repeated

    assert [await ask(URL), await ask(URL)] == [False, True]
    for other in (None, URL + "2"):
        with pytest.raises(KeyReused):
            await ask(other)


async def test_a_claimed_webhook_comes_up_again_only_after_its_lease(
    store: Store, outbox: RedisOutbox
) -> None:
    await store.committed(await begun(store))
    (first,) = await claim(outbox, lease_s=0.3)
    assert await claim(outbox) == []
    (second,) = await until(lambda: claim(outbox))
    assert (second.id, second.tries) == (first.id, 0)
    # The one whose lease ran out settles nothing.
    assert not await outbox.delivered(first)
    assert not await outbox.retry(first, 0)
    assert await outbox.delivered(second)
    assert not await outbox.delivered(second)
    assert (await store.jobs.metrics()).webhooks.delivered == 1


async def test_a_retried_webhook_comes_up_again_with_its_tries(store: Store, outbox: RedisOutbox) -> None:
    await store.committed(await begun(store))
    (webhook,) = await claim(outbox)
    assert await outbox.retry(webhook, 0.2)
    assert await claim(outbox) == []
    (again,) = await until(lambda: claim(outbox))
    assert (again.id, again.tries, again.job) == (webhook.id, 1, webhook.job)


async def test_what_is_given_up_leaves_a_dead_letter_without_the_address(
    store: Store, outbox: RedisOutbox
) -> None:
    job = await store.committed(await begun(store))
    (webhook,) = await claim(outbox)
    assert await outbox.give_up(webhook, "answer 500")
    ((_, letter),) = await store.connection.client.xrange(redis_keys.DEAD_WEBHOOKS)
    assert letter == {
        "job": job.id,
        "run": "1",
        "receiver": "example.com",
        "tries": "1",
        "cause": "answer 500",
    }
    assert await claim(outbox) == []


async def test_a_deleted_job_sends_no_webhook(store: Store, outbox: RedisOutbox) -> None:
    waiting = await store.committed(await begun(store))
    await store.jobs.delete(waiting.id)
    assert await claim(outbox) == []
    under_way = await store.committed(await begun(store))
    (webhook,) = await claim(outbox)
    await store.jobs.delete(under_way.id)
    assert not await outbox.retry(webhook, 0)
    running = await begun(store)
    await store.jobs.delete(running.job.id)
    assert await claim(outbox) == []
    counts = (await store.jobs.metrics()).webhooks
    assert (counts.queued, counts.dropped) == (2, 1)


async def test_no_key_is_left_when_all_are_settled(store: Store, outbox: RedisOutbox) -> None:
    for number in range(3):
        await store.committed(await begun(store, f"https://{number}.example.com/"))
    for webhook in await claim(outbox):
        await outbox.delivered(webhook)
    assert await store.connection.client.keys(redis_keys.WEBHOOKS + "*") == []
    assert await store.connection.client.keys(redis_keys.OUTBOX + "*") == []
    assert (await store.jobs.metrics()).webhooks.waiting == 0


async def test_a_receiver_with_many_waiting_does_not_stand_before_another(
    store: Store, outbox: RedisOutbox
) -> None:
    for _ in range(6):
        await store.committed(await begun(store, "https://slow.example/"))
    await store.committed(await begun(store, "https://quick.example/"))
    first = await outbox.claim(4, 60, 3, {})
    assert [webhook.receiver for webhook in first].count("slow.example") == 3
    assert [webhook.receiver for webhook in first].count("quick.example") == 1
    assert await outbox.claim(4, 60, 3, {"slow.example": 3, "quick.example": 1}) == []
    assert len(await outbox.claim(4, 60, 3, {"slow.example": 2})) == 1


async def test_full_memory_still_ends_runs_and_sends_their_webhooks(
    store: Store, outbox: RedisOutbox
) -> None:
    client = store.connection.client
    started = await begun(store)
    await client.config_set("maxmemory", "1mb")
    try:
        job = await store.committed(started)
        (webhook,) = await claim(outbox)
        assert webhook.job.id == job.id
        assert await outbox.retry(webhook, 0)
        (webhook,) = await claim(outbox)
        assert await outbox.delivered(webhook)
    finally:
        await client.config_set("maxmemory", "0")


async def test_webhooks_survive_a_process_that_forgets_everything(store: Store, outbox: RedisOutbox) -> None:
    await store.committed(await begun(store))
    other = RedisConnection(store.url)
    assert len(await claim(RedisOutbox(other))) == 1
    await other.close()
