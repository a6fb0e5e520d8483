"""The queue as runners use it: attempts, fencing, reclaim, tries, draining."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from storage import redis_keys
from storage.errors import JobNotFound, LeaseLost
from storage.job_queue import Backlog, Delivery
from storage.jobs import JobState
from tests.storage.samples import Store, until

LEASE_MS = 60


async def reclaimed(store: Store, consumer: str) -> Delivery:
    found: list[Delivery] = await until(lambda: store.queue.reclaim(consumer, LEASE_MS))
    return found[0]


async def pending(store: Store) -> int:
    return int((await store.connection.client.xpending(redis_keys.QUEUE, redis_keys.GROUP))["pending"])


async def test_take_from_an_empty_queue_is_none(store: Store) -> None:
    assert await store.queue.take("one") is None
    assert await store.queue.take("one", block_ms=20) is None


async def test_take_blocks_until_a_job_comes(store: Store) -> None:
    waiting = asyncio.create_task(store.queue.take("one", block_ms=2000))
    await until(lambda: store.connection.client.exists(redis_keys.QUEUE))
    job_id = await store.enqueued()
    delivery = await asyncio.wait_for(waiting, 5)
    assert delivery is not None
    assert (delivery.job_id, delivery.run, delivery.consumer) == (job_id, 1, "one")


async def test_each_job_goes_to_exactly_one_of_many_takers(store: Store) -> None:
    ids = [await store.enqueued() for _ in range(60)]

    async def take_all(consumer: str) -> list[str]:
        mine = []
        while (delivery := await store.queue.take(consumer)) is not None:
            mine.append(delivery.job_id)
        return mine

    taken = await asyncio.gather(*(take_all(f"consumer {i}") for i in range(16)))
    assert Counter(job_id for mine in taken for job_id in mine) == Counter(ids)


async def test_jobs_come_in_the_order_of_acceptance(store: Store) -> None:
    ids = [await store.enqueued() for _ in range(5)]
    assert [(await store.taken()).job_id for _ in ids] == ids


async def test_begin_opens_an_attempt(store: Store) -> None:
    started = await store.started()
    job = await store.jobs.get(started.job.id)
    assert started.job == job
    assert (job.state, job.stage, job.attempt, job.tries) == (JobState.PROCESSING, "starting", 1, 1)
    assert job.queue_position is None
    assert started.attempt == 1


async def test_begin_of_a_deleted_job_is_nothing_to_do(store: Store) -> None:
    job_id = await store.enqueued()
    delivery = await store.taken()
    await store.jobs.delete(job_id)
    assert await store.queue.begin(delivery) is None
    assert await pending(store) == 0


async def test_begin_of_an_ended_run_is_nothing_to_do(store: Store) -> None:
    started = await store.started()
    stolen = await reclaimed(store, "two")
    await store.committed(started)
    await store.enqueued(started.job.id)
    assert await store.queue.begin(stolen) is None
    assert (await store.jobs.get(started.job.id)).run == 2
    assert (await store.begun(await store.taken())).job.run == 2


async def test_report_tells_stage_progress_and_files(store: Store) -> None:
    started = await store.started()
    await store.queue.report(started.job.id, started.attempt, "decode", 40, {"mask_0.png": "k0"})
    await store.queue.report(started.job.id, started.attempt, "refine", 30, {"mask_1.png": "k1"})
    job = await store.jobs.get(started.job.id)
    assert (job.stage, job.progress) == ("refine", 40)  # never back
    assert job.files["mask_0.png"] == "k0"
    assert job.files["mask_1.png"] == "k1"


async def test_commit_ends_the_job_and_its_entry(store: Store) -> None:
    started = await store.started()
    await store.queue.commit(started.delivery, started.attempt, '{"objects": 1}', {"mask_0.png": "k"})
    job = await store.jobs.get(started.job.id)
    assert (job.state, job.stage, job.progress) == (JobState.READY, "ready", 100)
    assert (job.result, job.error) == ('{"objects": 1}', None)
    assert set(job.files) == {"original.png", "mask_0.png"}
    assert await store.connection.client.xlen(redis_keys.QUEUE) == 0
    assert await pending(store) == 0


async def test_commit_sent_again_after_a_lost_answer_counts_once(store: Store) -> None:
    started = await store.started()
    for _ in range(2):
        await store.committed(started)
    assert (await store.jobs.metrics()).finished_total["ready"] == 1


async def test_fail_ends_the_job_with_the_error_and_its_stage(store: Store) -> None:
    started = await store.started()
    await store.queue.report(started.job.id, started.attempt, "decode", 40, {"mask_0.png": "k0"})
    await store.queue.fail(started.delivery, started.attempt, "mask too small")
    job = await store.jobs.get(started.job.id)
    assert (job.state, job.stage, job.progress) == (JobState.ERROR, "decode", 40)
    assert set(job.files) == {"original.png"}  # what was made is removed
    assert job.error == "mask too small"
    assert await pending(store) == 0
    await store.enqueued(started.job.id)
    assert (await store.jobs.get(started.job.id)).error is None


async def test_everything_of_a_stale_attempt_is_refused(store: Store) -> None:
    stale = await store.started("one")
    current = await store.begun(await reclaimed(store, "two"))
    assert current.attempt == stale.attempt + 1
    job_id = stale.job.id
    for call in (
        store.queue.report(job_id, stale.attempt, "late", 99),
        store.queue.commit(stale.delivery, stale.attempt, "{}", {}),
        store.queue.fail(stale.delivery, stale.attempt, "late"),
    ):
        with pytest.raises(LeaseLost):
            await call
    assert not await store.queue.give_back(stale.delivery, stale.attempt)
    assert await store.queue.heartbeat([stale.delivery]) == frozenset()
    assert (await store.committed(current)).state is JobState.READY
    with pytest.raises(LeaseLost):
        await store.queue.commit(stale.delivery, stale.attempt, "{}", {})


async def test_racing_commits_of_all_attempts_let_the_current_one_through(store: Store) -> None:
    attempts = [await store.started("consumer 0")]
    for i in (1, 2):
        attempts.append(await store.begun(await reclaimed(store, f"consumer {i}")))
    answers = await asyncio.gather(
        *(store.queue.commit(one.delivery, one.attempt, f"{one.attempt}", {}) for one in attempts),
        return_exceptions=True,
    )
    assert [isinstance(answer, LeaseLost) for answer in answers] == [True, True, False]
    assert (await store.jobs.get(attempts[0].job.id)).result == "3"


async def test_delete_while_processing_is_not_undone_by_the_runner(store: Store) -> None:
    started = await store.started()
    await store.jobs.delete(started.job.id)
    with pytest.raises(LeaseLost):
        await store.queue.report(started.job.id, started.attempt, "decode", 50, {"mask_0.png": "k"})
    with pytest.raises(LeaseLost):
        await store.queue.commit(started.delivery, started.attempt, "{}", {"mask_0.png": "k"})
    with pytest.raises(LeaseLost):
        await store.queue.fail(started.delivery, started.attempt, "late")
    assert not await store.queue.give_back(started.delivery, started.attempt)
    assert await store.queue.heartbeat([started.delivery]) == frozenset()
    with pytest.raises(JobNotFound):
        await store.jobs.get(started.job.id)
    assert not await store.connection.client.keys(f"*{started.job.id}*")


async def test_a_dead_consumers_job_is_reclaimed_after_its_lease(store: Store) -> None:
    started = await store.started("dead")
    assert await store.queue.reclaim("alive", 60_000) == []
    delivery = await reclaimed(store, "alive")
    assert (delivery.job_id, delivery.consumer) == (started.job.id, "alive")
    again = await store.begun(delivery)
    assert (again.attempt, again.job.tries) == (2, 2)
    assert (await store.committed(again)).state is JobState.READY
    assert (await store.jobs.metrics()).retries_total == 1


async def test_a_job_that_was_taken_and_never_begun_is_reclaimed(store: Store) -> None:
    job_id = await store.enqueued()
    await store.taken("dead")
    assert (await reclaimed(store, "alive")).job_id == job_id


async def test_reclaim_leaves_alone_what_the_consumer_is_at_work_on(store: Store) -> None:
    mine = await store.started("one")
    await store.enqueued()
    other = await store.taken("two")
    found = await until(lambda: store.queue.reclaim("one", LEASE_MS, holding=[mine.delivery], limit=5))
    assert [delivery.job_id for delivery in found] == [other.job_id]


async def test_a_ticket_reclaimed_and_ended_while_its_reader_stalled_takes_no_other_job(store: Store) -> None:
    job_id = await store.enqueued()
    await store.connection.make_group()
    # The first half of a blocking take, at whose end the reader's process stalls.
    ((_, [(entry, fields)]),) = await store.connection.client.xreadgroup(
        redis_keys.GROUP, "one", {redis_keys.QUEUE: ">"}, count=1
    )
    started = await store.begun(await reclaimed(store, "two"))
    await store.committed(started)
    others = await store.enqueued()
    await store.enqueued(job_id)
    assert not await store.connection.run("take", "one", entry, fields["job"])
    for expected in (others, job_id):
        assert (await store.committed(await store.begun(await store.taken("two")))).id == expected
    assert await store.queue.backlog() == Backlog(waiting=0, in_hand=0)


async def test_reclaim_by_many_gives_each_delivery_to_one(store: Store) -> None:
    for _ in range(10):
        await store.started("dead")

    async def all_idle() -> bool:
        found = await store.connection.client.xpending_range(
            redis_keys.QUEUE, redis_keys.GROUP, "-", "+", 10, idle=1000
        )
        return len(found) == 10

    await until(all_idle)
    found = await asyncio.gather(*(store.queue.reclaim(f"c{i}", 1000, limit=9) for i in range(8)))
    assert sum(len(one) for one in found) == 10
    assert len({delivery.entry_id for one in found for delivery in one}) == 10


async def test_the_third_interruption_ends_the_job_with_a_dead_letter(store: Store) -> None:
    started = await store.started("consumer 1")
    for i in (2, 3):
        started = await store.begun(await reclaimed(store, f"consumer {i}"))
    assert started.job.tries == 3
    assert await store.queue.begin(await reclaimed(store, "consumer 4")) is None
    job = await store.jobs.get(started.job.id)
    assert job.state is JobState.ERROR
    assert job.error == "Processing failed: given up after 3 interrupted attempts"
    letters = await store.connection.client.xrange(redis_keys.DEAD)
    assert [(fields["job"], fields["tries"]) for _, fields in letters] == [(job.id, "3")]
    assert (await store.jobs.metrics()).dead_letters_total == 1
    assert await pending(store) == 0
    await store.enqueued(job.id)  # the user may try again, with all tries
    assert (await store.begun(await store.taken())).job.tries == 1


async def test_give_back_hands_on_at_once_and_counts_no_try(store: Store) -> None:
    leaving = await store.started("leaving")
    behind = await store.enqueued()
    assert await store.queue.give_back(leaving.delivery, leaving.attempt)
    job = await store.jobs.get(leaving.job.id)
    assert (job.state, job.stage, job.tries, job.queue_position) == (JobState.PROCESSING, "queued", 0, 1)
    assert (await store.jobs.get(behind)).queue_position == 2
    with pytest.raises(LeaseLost):
        await store.queue.report(leaving.job.id, leaving.attempt, "late", 90)
    delivery = await store.taken("staying")  # before the one that waited behind it
    assert delivery.job_id == leaving.job.id
    again = await store.begun(delivery)
    assert again.job.tries == 1
    assert again.attempt > leaving.attempt
    assert (await store.committed(again)).state is JobState.READY


async def test_heartbeat_renews_the_lease(store: Store) -> None:
    started = await store.started("one")

    async def idle_over_a_minute() -> int:
        arguments = (redis_keys.QUEUE, redis_keys.GROUP, "-", "+", 1)
        return len(await store.connection.client.xpending_range(*arguments, idle=60_000))

    await store.connection.client.xclaim(
        redis_keys.QUEUE, redis_keys.GROUP, "one", 0, [started.delivery.entry_id], idle=3_600_000
    )
    assert await idle_over_a_minute() == 1
    assert await store.queue.heartbeat([started.delivery]) == {started.delivery}
    assert await idle_over_a_minute() == 0


async def test_the_group_is_made_again_when_it_vanished(store: Store) -> None:
    started = await store.started("one")
    waiting = await store.enqueued()
    await store.connection.client.xgroup_destroy(redis_keys.QUEUE, redis_keys.GROUP)
    redelivered = await store.taken("two")
    assert redelivered.job_id == started.job.id
    assert (await store.begun(redelivered)).attempt == 2
    assert (await store.taken("two")).job_id == waiting
    with pytest.raises(LeaseLost):
        await store.committed(started)


async def test_a_blocked_take_survives_the_loss_of_the_stream(store: Store) -> None:
    await store.queue.take("one")
    waiting = asyncio.create_task(store.queue.take("one", block_ms=500))
    await until(lambda: _blocked(store))
    await store.connection.client.delete(redis_keys.QUEUE)
    assert await asyncio.wait_for(waiting, 5) is None
    job_id = await store.enqueued()
    assert (await store.taken()).job_id == job_id


async def _blocked(store: Store) -> bool:
    return int((await store.connection.client.info("clients"))["blocked_clients"]) > 0


async def test_idle_consumers_with_nothing_pending_are_forgotten(store: Store) -> None:
    assert await store.jobs.forget_consumers(0.0) == 0
    await store.committed(await store.started("is done"))
    holder = await store.started("holds a job")
    assert await store.jobs.forget_consumers(60.0) == 0
    assert await until(lambda: store.jobs.forget_consumers(0.01)) == 1
    names = await store.connection.client.xinfo_consumers(redis_keys.QUEUE, redis_keys.GROUP)
    assert [one["name"] for one in names] == ["holds a job"]
    assert (await store.committed(holder)).state is JobState.READY


async def test_begin_of_a_delivery_that_another_reclaimed_is_nothing_to_do(store: Store) -> None:
    await store.enqueued()
    slow = await store.taken("slow")
    stolen = await reclaimed(store, "quick")
    assert await store.queue.begin(slow) is None
    assert (await store.committed(await store.begun(stolen))).state is JobState.READY


async def test_a_late_report_of_the_run_before_is_refused(store: Store) -> None:
    before = await store.started()
    await store.committed(before)
    await store.enqueued(before.job.id)
    with pytest.raises(LeaseLost):
        await store.queue.report(before.job.id, before.attempt, "late", 99)
    with pytest.raises(LeaseLost):
        await store.queue.commit(before.delivery, before.attempt, "{}", {})
    assert (await store.jobs.get(before.job.id)).progress == 0


async def test_backlog_counts_what_waits_and_what_runners_hold_until_it_ends(store: Store) -> None:
    assert await store.queue.backlog() == Backlog(waiting=0, in_hand=0)
    started = await store.started()
    await store.enqueued()
    await store.uploaded()
    assert await store.queue.backlog() == Backlog(waiting=1, in_hand=1)
    await store.committed(started)
    backlog = await store.queue.backlog()
    assert backlog == Backlog(waiting=1, in_hand=0) and backlog.jobs == 1
