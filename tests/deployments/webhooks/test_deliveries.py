"""From a run's end in Redis to a receiver, with the loop that the sender's replica runs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from deployments.webhook_sender import Deliveries
from deployments.webhooks.addresses import Allowance
from deployments.webhooks.pinned_network import PinnedNetwork
from deployments.webhooks.post import Poster
from deployments.webhooks.retries import LONGEST_ASKED_S, STEPS, delay_s
from deployments.webhooks.secret import secret_bytes, secret_text, tenant_key
from docs.webhook_receiver import verify
from settings import Settings, read_settings
from storage.redis_outbox import RedisOutbox
from tests.storage.samples import Store, new_id, picture, until
from trials.webhook_server import WebhookServer

SECRET = secret_text(b"0123456789abcdef01234567")
ARGS = {
    "WEBHOOK_ALLOW_HTTP": True,
    "WEBHOOK_ALLOW_PRIVATE": "127.0.0.1",
    "WEBHOOK_RETRY_S": 0.01,
    "WEBHOOK_TIMEOUT_S": 1,
    "WEBHOOK_TRIES": 4,
}


@asynccontextmanager
async def delivering(store: Store, **changes: object) -> AsyncIterator[Deliveries]:
    settings: Settings = read_settings({**ARGS, **changes})
    network = PinnedNetwork(Allowance.of(settings.webhook_private_hosts))
    poster = Poster(network, settings.webhook_timeout_s)
    deliveries = Deliveries(RedisOutbox(store.connection), poster, settings, secret_bytes(SECRET))
    deliveries.concurrent_posts = 16
    loop = asyncio.create_task(deliveries.run())
    try:
        yield deliveries
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await deliveries.drain(2)
        await poster.close()
        network.close()


async def end_a_run(store: Store, server: WebhookServer, path: str = "/hook", owner: str = "") -> str:
    job_id = new_id()
    await store.jobs.create(job_id, picture(), {}, 60, owner)
    url = f"http://127.0.0.1:{server.port}{path}"
    await store.jobs.enqueue(job_id, "{}", 1, max_queued=1000, ttl_s=60, callback_url=url)
    await store.committed(await store.begun(await store.taken()))
    return job_id


def counted(store: Store, **expected: int) -> Callable[[], object]:
    async def agrees() -> bool:
        counts = (await store.jobs.metrics()).webhooks
        return all(getattr(counts, name) == value for name, value in expected.items())

    return agrees


async def test_end_of_a_run_arrives_signed_and_once(store: Store) -> None:
    with WebhookServer() as server:
        async with delivering(store):
            job_id = await end_a_run(store, server)
            await until(counted(store, delivered=1, waiting=0))
        (got,) = server.received
        assert verify(SECRET, got.headers, got.body)
        assert json.loads(got.body)["job_id"] == job_id
        assert json.loads(got.body)["status"] == "ready"


async def test_tenant_verifies_with_its_own_secret_only(store: Store) -> None:
    with WebhookServer() as server:
        async with delivering(store):
            await end_a_run(store, server, owner="tenant-a")
            await until(counted(store, delivered=1))
        (got,) = server.received
        own, other = (secret_text(tenant_key(secret_bytes(SECRET), f"tenant-{name}")) for name in "ab")
        assert verify(own, got.headers, got.body)
        assert not verify(other, got.headers, got.body)
        assert not verify(SECRET, got.headers, got.body)


async def test_failed_posts_are_repeated_with_the_same_id_and_body(store: Store) -> None:
    with WebhookServer([500, (302, {"Location": "/elsewhere"})]) as server:
        async with delivering(store):
            await end_a_run(store, server)
            await until(counted(store, delivered=1, retried=2))
        assert [one.path for one in server.received] == ["/hook"] * 3
        assert len(set(server.ids)) == 1
        assert len({one.body for one in server.received}) == 1


async def test_receiver_that_never_takes_it_is_given_up_after_its_tries(store: Store) -> None:
    with WebhookServer([500] * 9) as server:
        async with delivering(store):
            await end_a_run(store, server)
            await until(counted(store, given_up=1, retried=3, waiting=0))
        assert len(server.received) == 4


async def test_receiver_that_says_gone_is_not_asked_again(store: Store) -> None:
    with WebhookServer([410]) as server:
        async with delivering(store):
            await end_a_run(store, server)
            await until(counted(store, given_up=1))
        assert len(server.received) == 1


async def test_receiver_that_asks_to_wait_is_given_the_time(store: Store) -> None:
    with WebhookServer([(429, {"Retry-After": "1"})]) as server:
        async with delivering(store):
            await end_a_run(store, server)
            await until(counted(store, retried=1))
            began = asyncio.get_running_loop().time()
            await until(counted(store, delivered=1))
            assert asyncio.get_running_loop().time() - began > 0.7


async def test_slow_receiver_holds_up_no_other_and_gets_a_few_at_once(store: Store) -> None:
    released = threading.Event()
    with WebhookServer(plan=lambda path: lambda handler: _end_after(released, handler)) as slow:
        with WebhookServer() as quick:
            async with delivering(store, WEBHOOK_TIMEOUT_S=30):
                for _ in range(8):
                    await end_a_run(store, slow)
                await until(lambda: slow.most_at_once == 4)
                await end_a_run(store, quick)
                await until(lambda: quick.received)
                assert len(slow.received) == 4
                released.set()
                await until(lambda: len(slow.received) >= 8)
        assert slow.most_at_once == 4


def _end_after(released: threading.Event, handler: BaseHTTPRequestHandler) -> None:
    released.wait(30)
    handler.send_response(204)
    handler.end_headers()


async def test_address_that_the_operator_closed_meanwhile_is_not_called(store: Store) -> None:
    with WebhookServer() as server:
        await end_a_run(store, server)
        async with delivering(store, WEBHOOK_ALLOW_PRIVATE="10.0.0.0/8"):
            await until(counted(store, given_up=1))
        assert server.received == []


async def test_webhook_in_the_hands_of_a_dead_sender_arrives_with_the_same_id(store: Store) -> None:
    with WebhookServer() as server:
        await end_a_run(store, server)
        (held,) = await RedisOutbox(store.connection).claim(9, 0.5, 9, {})  # and never settled
        async with delivering(store):
            await until(counted(store, delivered=1))
        assert server.ids == [held.id]


def test_waits_grow_are_spread_and_respect_a_bounded_request_of_the_receiver() -> None:
    middles = [sum(delay_s(tries, 1) for _ in range(200)) / 200 for tries in range(1, 9)]
    assert middles == pytest.approx([*STEPS, 3600, 3600], rel=0.1)
    assert len({delay_s(3, 1) for _ in range(20)}) == 20
    assert delay_s(1, 1, asked_s=60) == 60
    assert delay_s(1, 1, asked_s=1e9) == LONGEST_ASKED_S
