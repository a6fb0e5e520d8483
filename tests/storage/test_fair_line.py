"""The queue between owners: equal shares, nobody starved, honest places in line."""

from __future__ import annotations

import random

import pytest

from storage import redis_keys
from storage.errors import OwnerQueueFull
from tests.storage.samples import Store, new_id, picture


async def queued(store: Store, owner: str, objects: int = 1) -> str:
    job_id = new_id()
    await store.jobs.create(job_id, picture(), {}, 60, owner)
    await store.jobs.enqueue(job_id, "{}", objects, max_queued=1000, ttl_s=60)
    return job_id


async def owners_in_turn(store: Store, count: int) -> list[str]:
    return [(await store.jobs.get((await store.taken()).job_id)).owner for _ in range(count)]


async def test_a_second_owner_does_not_wait_behind_all_of_the_first_ones_jobs(store: Store) -> None:
    for _ in range(50):
        await queued(store, "batch")
    late = await queued(store, "one tap")
    assert (await store.jobs.get(late)).queue_position == 2
    assert "one tap" in await owners_in_turn(store, 2)


async def test_owners_take_turns_while_both_wait(store: Store) -> None:
    for owner in ("a", "a", "a", "a", "b", "b"):
        await queued(store, owner)
    assert await owners_in_turn(store, 6) == ["a", "b", "a", "b", "a", "a"]


async def test_shares_are_of_objects_not_of_jobs(store: Store) -> None:
    for _ in range(8):
        await queued(store, "eight at once", objects=8)
    for _ in range(32):
        await queued(store, "single")
    first = await owners_in_turn(store, 18)
    assert first.count("eight at once") in (2, 3)


async def test_one_owner_alone_is_served_in_order(store: Store) -> None:
    ids = [await queued(store, "alone", objects=random.Random(i).randint(1, 5)) for i in range(10)]
    assert [(await store.taken()).job_id for _ in ids] == ids


async def test_having_been_alone_costs_no_turns_later(store: Store) -> None:
    for _ in range(20):
        await queued(store, "early")
    assert await owners_in_turn(store, 15) == ["early"] * 15
    await queued(store, "late")
    await queued(store, "late")
    assert sorted(await owners_in_turn(store, 4)) == ["early", "early", "late", "late"]


async def test_places_in_line_are_the_order_of_service(store: Store) -> None:
    rng = random.Random(5)
    ids = [await queued(store, rng.choice("aaab")) for _ in range(12)]
    places = {job_id: (await store.jobs.get(job_id)).queue_position for job_id in ids}
    served = [(await store.taken()).job_id for _ in ids]
    assert [places[job_id] for job_id in served] == list(range(1, 13))
    assert (await store.jobs.get(ids[0])).queue_position is None


async def test_one_owner_may_fill_only_its_share_of_the_queue(store: Store) -> None:
    async def enqueue(owner: str) -> None:
        job_id = new_id()
        await store.jobs.create(job_id, picture(), {}, 60, owner)
        await store.jobs.enqueue(job_id, "{}", 1, max_queued=10, max_queued_of_owner=2, ttl_s=60)

    await enqueue("a")
    await enqueue("a")
    with pytest.raises(OwnerQueueFull):
        await enqueue("a")
    await enqueue("b")
    await store.taken()
    await store.taken()
    await enqueue("a")


async def test_a_dead_runners_ticket_serves_the_job_whose_turn_it_is(store: Store) -> None:
    first = await queued(store, "a")
    # A runner reads a ticket and dies before it learns which job the ticket is for.
    await store.connection.make_group()
    await store.connection.client.xreadgroup(redis_keys.GROUP, "dead", {redis_keys.QUEUE: ">"}, count=1)
    second = await queued(store, "b")
    taken = [await store.taken("alive")]
    taken += await store.queue.reclaim("alive", 0, holding=taken)
    assert {one.job_id for one in taken} == {first, second}
    for one in taken:
        await store.committed(await store.begun(one))
    assert await store.connection.client.hlen(redis_keys.TICKETS) == 0


async def test_tickets_of_an_older_version_are_served(store: Store) -> None:
    job_id = await queued(store, "a")
    for key in (redis_keys.TICKETS, redis_keys.LANE + "a", redis_keys.TURNS):
        await store.connection.client.delete(key)
    delivery = await store.taken()
    assert delivery.job_id == job_id
    await store.committed(await store.begun(delivery))
    assert (await store.jobs.metrics()).waiting == 0


async def test_an_idle_queue_keeps_no_keys_of_the_line(store: Store) -> None:
    for owner in ("a", "b", "c"):
        await queued(store, owner, objects=3)
    await store.jobs.delete((await store.taken()).job_id)
    for _ in range(2):
        await store.committed(await store.begun(await store.taken()))
    left = {key.removeprefix(redis_keys.PREFIX) for key in await store.connection.client.keys()}
    assert not left & {"turns", "used", "turn", "tickets", "waiting", "lane:a", "lane:b", "lane:c"}


async def test_a_late_begin_takes_no_ticket_from_the_job_that_has_it_now(store: Store) -> None:
    first, second = await queued(store, "a"), await queued(store, "b", objects=5)
    late = await store.taken("stalled")
    other = await store.taken("leaving")
    held = [other]
    while len(held) < 2:
        held += await store.queue.reclaim("leaving", 0, holding=held)
    for delivery in held:
        begun = await store.begun(delivery)
        assert await store.queue.give_back(delivery, begun.attempt)
    taken = await store.taken("dies")
    # The ticket that the stalled runner once had for the first job is the second one's now.
    assert (late.job_id, taken.job_id, taken.entry_id) == (first, second, late.entry_id)
    await store.begun(taken)
    assert await store.queue.begin(late) is None
    found = await store.queue.reclaim("alive", 0)
    assert [one.job_id for one in found] == [second]
    await store.committed(await store.begun(found[0]))
    await store.committed(await store.begun(await store.taken("alive")))
    assert await store.connection.client.xlen(redis_keys.QUEUE) == 0
