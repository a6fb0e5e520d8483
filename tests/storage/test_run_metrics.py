"""What is counted of whole runs: how long they waited, how long they took, how long the next one waits."""

from __future__ import annotations

import asyncio

from tests.storage.samples import Store, until

LEASE_MS = 60


async def test_a_run_is_counted_once_by_its_outcome_and_its_objects(store: Store) -> None:
    await store.committed(await store.started())
    for objects in (3, 7):
        job_id = await store.uploaded()
        await store.jobs.enqueue(job_id, "{}", objects, max_queued=10, ttl_s=60)
        started = await store.begun(await store.taken())
        await store.queue.fail(started.delivery, started.attempt, "broken")
    runs = (await store.jobs.metrics()).run_seconds
    assert {labels: histogram.total for labels, histogram in runs.items()} == {
        ("ready", "1"): 1,
        ("error", "2-4"): 1,
        ("error", "5+"): 1,
    }


async def test_a_runs_seconds_are_those_since_its_acceptance(store: Store) -> None:
    job_id = await store.enqueued()
    await asyncio.sleep(0.3)
    started = await store.begun(await store.taken())
    await store.committed(started)
    metrics = await store.jobs.metrics()
    assert 0.3 <= metrics.run_seconds["ready", "1"].sum < 5
    assert 0.3 <= metrics.wait_seconds.sum < 5 and metrics.wait_seconds.total == 1
    # Segmented again, it counts from its second acceptance.
    await store.enqueued(job_id)
    await store.committed(await store.begun(await store.taken()))
    again = await store.jobs.metrics()
    assert again.run_seconds["ready", "1"].sum < metrics.run_seconds["ready", "1"].sum + 0.3
    assert again.wait_seconds.total == 2


async def test_a_run_that_was_given_back_or_taken_over_waited_once(store: Store) -> None:
    started = await store.started()
    assert await store.queue.give_back(started.delivery, started.attempt)
    await store.begun(await store.taken("two"))
    reclaimed = await until(lambda: store.queue.reclaim("three", LEASE_MS))
    await store.committed(await store.begun(reclaimed[0]))
    metrics = await store.jobs.metrics()
    assert (metrics.wait_seconds.total, metrics.run_seconds["ready", "1"].total) == (1, 1)


async def test_the_longest_wait_is_the_oldest_runs_and_ends_when_it_is_taken(store: Store) -> None:
    assert (await store.jobs.metrics()).oldest_waiting_s == 0
    await store.enqueued()
    await asyncio.sleep(0.2)
    await store.enqueued()
    assert (await store.jobs.metrics()).oldest_waiting_s >= 0.2
    await store.taken()
    assert (await store.jobs.metrics()).oldest_waiting_s < 0.2
    await store.taken()
    assert (await store.jobs.metrics()).oldest_waiting_s == 0


async def test_a_run_that_is_given_up_counts_as_an_error(store: Store) -> None:
    await store.enqueued()
    await store.begun(await store.taken())
    for _ in range(3):
        taken = await until(lambda: store.queue.reclaim("two", LEASE_MS))
        await store.queue.begin(taken[0])
    metrics = await store.jobs.metrics()
    assert metrics.dead_letters_total == metrics.run_seconds["error", "1"].total == 1
