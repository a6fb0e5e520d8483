"""The heartbeat thread."""

from __future__ import annotations

import queue
import time

from storage.job_queue import Delivery
from storage.lease_keeper import LeaseKeeper
from tests.storage.samples import Store, until

LEASE_S = 0.6


async def test_lease_is_kept_while_the_event_loop_is_blocked(store: Store) -> None:
    started = await store.started("one")
    with LeaseKeeper(store.url, "one", LEASE_S) as keeper:
        keeper.add(started.delivery)
        time.sleep(2 * LEASE_S)
        assert await store.queue.reclaim("two", int(LEASE_S * 1000)) == []
        assert not keeper.lost(started.delivery)
        assert keeper.alive
        keeper.remove(started.delivery)
        await until(lambda: store.queue.reclaim("two", int(LEASE_S * 1000)))


async def test_lost_lease_is_told_and_not_taken_back(store: Store) -> None:
    started = await store.started("one")
    told: queue.Queue[Delivery] = queue.Queue()
    with LeaseKeeper(store.url, "one", LEASE_S, on_lost=told.put) as keeper:
        stolen = await until(lambda: store.queue.reclaim("two", 1))
        keeper.add(started.delivery)
        await until(lambda: keeper.lost(started.delivery))
        assert told.get(timeout=5) == started.delivery
        assert keeper.held == frozenset()
        assert await store.queue.heartbeat(stolen) == set(stolen)


async def test_deleted_job_is_told_as_lost(store: Store) -> None:
    started = await store.started("one")
    with LeaseKeeper(store.url, "one", LEASE_S) as keeper:
        keeper.add(started.delivery)
        await store.jobs.delete(started.job.id)
        await until(lambda: keeper.lost(started.delivery))


async def test_a_failing_callback_does_not_end_the_other_leases(store: Store) -> None:
    first, second = await store.started("one"), await store.started("one")

    def fail(delivery: Delivery) -> None:
        raise RuntimeError("the loop is closed")

    with LeaseKeeper(store.url, "one", LEASE_S, on_lost=fail) as keeper:
        keeper.add(first.delivery)
        keeper.add(second.delivery)
        await store.jobs.delete(first.job.id)
        await until(lambda: keeper.lost(first.delivery))
        assert keeper.alive
        assert keeper.held == {second.delivery}
