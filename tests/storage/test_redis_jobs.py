"""Jobs in Redis as the ingress and the sweeper use them."""

from __future__ import annotations

import asyncio
import time

import pytest

from storage import redis_keys
from storage.errors import JobBusy, JobExists, JobNotFound, KeyReused, QueueFull, StoreFault, StoreUnavailable
from storage.job_metrics import StageTiming
from storage.jobs import JobState, ReservationState
from storage.redis_connection import RedisConnection
from storage.redis_jobs import RedisJobs
from tests.storage.samples import DIGEST, Store, new_id, picture


async def test_create_then_get_returns_the_same_job(store: Store) -> None:
    job_id = new_id()
    created = await store.jobs.create(job_id, picture(), {"original.png": "a/b"}, 60, owner="tenant")
    assert await store.jobs.get(job_id) == created
    assert created.state is JobState.UPLOADED
    assert created.picture == picture()
    assert created.files == {"original.png": "a/b"}
    assert created.owner == "tenant"
    assert abs(created.created_at - time.time()) < 5
    assert created.expires_at == pytest.approx(created.created_at + 60, abs=0.001)
    assert (created.run, created.attempt, created.progress, created.queue_position) == (0, 0, 0, None)


async def test_create_sent_again_after_a_lost_answer_is_the_same_job(store: Store) -> None:
    job_id = await store.uploaded()
    assert await store.uploaded(job_id) == job_id
    assert (await store.jobs.metrics()).jobs["uploaded"] == 1


async def test_create_with_the_id_of_another_job_is_refused(store: Store) -> None:
    job_id = await store.uploaded()
    with pytest.raises(JobExists):
        await store.uploaded(job_id, digest="e" * 64)


async def test_get_of_an_unknown_job_raises(store: Store) -> None:
    with pytest.raises(JobNotFound):
        await store.jobs.get(new_id())


async def test_enqueue_moves_an_uploaded_job_into_the_queue(store: Store) -> None:
    job_id = await store.uploaded(ttl_s=5)
    accepted = await store.jobs.enqueue(job_id, '{"objects": []}', 3, max_queued=5, ttl_s=100)
    job = await store.jobs.get(job_id)
    assert (accepted.run, accepted.num_objects, accepted.repeated) == (1, 3, False)
    assert (job.state, job.stage, job.progress) == (JobState.PROCESSING, "queued", 0)
    assert (job.run, job.tries, job.num_objects, job.request) == (1, 0, 3, '{"objects": []}')
    assert job.expires_at == pytest.approx(job.updated_at + 100, abs=1)


async def test_enqueue_of_an_unknown_job_raises(store: Store) -> None:
    with pytest.raises(JobNotFound):
        await store.jobs.enqueue(new_id(), "{}", 1, max_queued=5, ttl_s=60)


async def test_enqueue_while_processing_is_refused(store: Store) -> None:
    started = await store.started()
    with pytest.raises(JobBusy):
        await store.enqueued(started.job.id)


async def test_enqueue_twice_at_once_accepts_one(store: Store) -> None:
    job_id = await store.uploaded()
    answers = await asyncio.gather(*(store.enqueued(job_id) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, str) for answer in answers) == 1
    assert sum(isinstance(answer, JobBusy) for answer in answers) == 19
    assert await store.connection.client.xlen(redis_keys.QUEUE) == 1


async def test_enqueue_into_a_full_queue_accepts_nothing(store: Store) -> None:
    waiting = [await store.uploaded() for _ in range(3)]
    for job_id in waiting[:2]:
        await store.jobs.enqueue(job_id, "{}", 1, max_queued=2, ttl_s=60)
    before = await store.jobs.get(waiting[2])
    with pytest.raises(QueueFull):
        await store.jobs.enqueue(waiting[2], "{}", 1, max_queued=2, ttl_s=60)
    assert await store.jobs.get(waiting[2]) == before
    await store.begun(await store.taken())  # one fewer waits
    await store.jobs.enqueue(waiting[2], "{}", 1, max_queued=2, ttl_s=60)


async def test_queue_position_counts_those_before(store: Store) -> None:
    ids = [await store.enqueued() for _ in range(3)]
    assert [(await store.jobs.get(job_id)).queue_position for job_id in ids] == [1, 2, 3]
    await store.begun(await store.taken())
    assert [(await store.jobs.get(job_id)).queue_position for job_id in ids] == [None, 1, 2]
    await store.jobs.delete(ids[1])
    assert (await store.jobs.get(ids[2])).queue_position == 1


async def test_a_ready_job_can_run_again_and_keeps_only_its_upload(store: Store) -> None:
    started = await store.started()
    await store.queue.commit(started.delivery, started.attempt, "{}", {"mask_0.png": "k"})
    await store.enqueued(started.job.id)
    job = await store.jobs.get(started.job.id)
    assert (job.state, job.run, job.progress, job.result) == (JobState.PROCESSING, 2, 0, None)
    assert list(job.files) == ["original.png"]
    again = await store.begun(await store.taken())
    assert again.attempt == started.attempt + 1


async def test_segment_repeated_with_its_key_gets_the_first_answer_in_any_state(store: Store) -> None:
    job_id = await store.uploaded()

    async def segment(request: str = "{}") -> object:
        return await store.jobs.enqueue(
            job_id, request, 2, max_queued=1, ttl_s=60, idempotency_key="client's"
        )

    first = await segment()
    queued = await segment()
    await store.committed(await store.begun(await store.taken()))
    ready = await segment()
    assert first.repeated is False  # type: ignore[attr-defined]
    assert queued == ready
    assert (ready.run, ready.num_objects, ready.repeated) == (1, 2, True)  # type: ignore[attr-defined]
    assert (await store.jobs.get(job_id)).state is JobState.READY
    with pytest.raises(KeyReused):
        await segment('{"other": 1}')


async def test_delete_of_a_queued_job_leaves_nothing_behind(store: Store) -> None:
    job_id = await store.enqueued()
    assert (await store.jobs.delete(job_id)).existed
    with pytest.raises(JobNotFound):
        await store.jobs.get(job_id)
    assert not (await store.jobs.delete(job_id)).existed
    left = set(await store.connection.client.keys("*"))
    assert left <= {redis_keys.QUEUE, redis_keys.ORDER}
    assert await store.queue.take("one") is None


async def test_delete_names_the_picture_when_its_last_job_goes(store: Store) -> None:
    first, second, other = [
        await store.uploaded(),
        await store.uploaded(),
        await store.uploaded(digest="e" * 64),
    ]
    assert (await store.jobs.delete(first)).unused_digest is None
    assert (await store.jobs.delete(second)).unused_digest == DIGEST
    assert (await store.jobs.delete(other)).unused_digest == "e" * 64


async def test_existing_tells_jobs_from_strangers(store: Store) -> None:
    job_id = await store.uploaded()
    assert await store.jobs.existing([job_id, new_id()]) == {job_id}
    assert await store.jobs.existing([]) == frozenset()


async def test_expired_names_jobs_past_their_time_and_not_the_others(store: Store) -> None:
    short, long = await store.uploaded(ttl_s=10), await store.uploaded(ttl_s=1000)
    assert await store.jobs.expired(10) == []
    assert await store.jobs.expired(10, now=time.time() + 11) == [short]
    assert sorted(await store.jobs.expired(10, now=time.time() + 1001)) == sorted([short, long])
    assert len(await store.jobs.expired(1, now=time.time() + 1001)) == 1


async def test_expired_gives_a_processing_job_more_time(store: Store) -> None:
    started = await store.started()
    later = time.time() + 5000
    assert await store.jobs.expired(10, now=later) == []
    assert (await store.jobs.get(started.job.id)).expires_at == pytest.approx(later + 60, abs=0.01)
    await store.committed(started)
    assert await store.jobs.expired(10, now=later + 61) == [started.job.id]


async def test_expired_names_a_processing_job_whose_entry_is_gone(store: Store) -> None:
    job_id = await store.enqueued()
    await store.connection.client.delete(redis_keys.QUEUE)
    assert await store.jobs.expired(10, now=time.time() + 61) == [job_id]


async def test_keys_of_a_job_die_by_themselves_an_hour_late(store: Store) -> None:
    job_id = await store.enqueued()
    for key in (redis_keys.JOB + job_id, redis_keys.RUN_KEYS + job_id, redis_keys.PICTURE + DIGEST):
        assert await store.connection.client.ttl(key) == pytest.approx(3660, abs=2)


async def test_delete_mends_the_counts_of_a_job_that_died_by_itself(store: Store) -> None:
    job_id = await store.uploaded(ttl_s=1)
    await store.connection.client.delete(redis_keys.JOB + job_id)
    assert (await store.jobs.metrics()).jobs["uploaded"] == 1
    assert await store.jobs.expired(10, now=time.time() + 2) == [job_id]
    assert not (await store.jobs.delete(job_id)).existed
    assert (await store.jobs.metrics()).jobs["uploaded"] == 0
    assert await store.jobs.expired(10, now=time.time() + 2) == []


async def test_upload_key_is_reserved_once_and_answers_after_completion(store: Store) -> None:
    first, *others = await asyncio.gather(*(store.jobs.reserve("key", "", 60) for _ in range(5)))
    states = sorted([first.state, *(other.state for other in others)])
    assert states == [ReservationState.NEW] + [ReservationState.PENDING] * 4
    winner = next(one for one in (first, *others) if one.state is ReservationState.NEW)
    assert await store.jobs.complete("key", "", winner.token, '{"job_id": "x"}', 60)
    again = await store.jobs.reserve("key", "", 60)
    assert (again.state, again.answer) == (ReservationState.DONE, '{"job_id": "x"}')
    assert (await store.jobs.reserve("key", "another tenant", 60)).state is ReservationState.NEW


async def test_upload_key_released_after_a_failure_is_free(store: Store) -> None:
    first = await store.jobs.reserve("key", "", 60)
    assert await store.jobs.release("key", "", first.token)
    assert (await store.jobs.reserve("key", "", 60)).state is ReservationState.NEW


async def test_renewed_key_stays_with_the_call_that_has_it(store: Store) -> None:
    first = await store.jobs.reserve("key", "", 0.05)
    assert await store.jobs.renew("key", "", first.token, 60)
    await asyncio.sleep(0.1)  # past the first hold
    assert (await store.jobs.reserve("key", "", 60)).state is ReservationState.PENDING
    assert not await store.jobs.renew("key", "", "another call", 60)


async def test_upload_key_whose_holder_died_is_free_after_its_hold(store: Store) -> None:
    dead = await store.jobs.reserve("key", "", 0.02)

    async def free() -> bool:
        return (await store.jobs.reserve("key", "", 60)).state is ReservationState.NEW

    deadline = time.monotonic() + 5
    while not await free():
        assert time.monotonic() < deadline
    assert not await store.jobs.complete("key", "", dead.token, "{}", 60)


async def test_sweep_is_held_by_one(store: Store) -> None:
    assert await store.jobs.hold_sweep("me", 60)
    assert await store.jobs.hold_sweep("me", 60)
    assert not await store.jobs.hold_sweep("you", 60)


async def test_metrics_count_what_is_there(store: Store) -> None:
    await store.uploaded()
    ready, failed, running = [await store.started() for _ in range(3)]
    await store.committed(ready, (StageTiming("encode", 0.3, 2), StageTiming("encode", 70.0, 64)))
    await store.queue.fail(failed.delivery, failed.attempt, "mask too small")
    await store.enqueued()
    found = await store.jobs.metrics()
    assert found.jobs == {"uploaded": 1, "processing": 2, "ready": 1, "error": 1}
    assert (found.waiting, found.in_progress) == (1, 1)
    assert found.finished_total == {"ready": 1, "error": 1}
    seconds = found.stage_seconds["encode"]
    assert (seconds.total, seconds.counts[6], seconds.counts[-1]) == (2, 1, 1)
    assert seconds.sum == pytest.approx(70.3)
    assert seconds.cumulative[-1] == 2
    assert found.batch_sizes["encode"].sum == 66
    await store.jobs.delete(running.job.id)
    await store.jobs.delete(ready.job.id)
    found = await store.jobs.metrics()
    assert found.jobs == {"uploaded": 1, "processing": 1, "ready": 0, "error": 1}
    assert found.finished_total["ready"] == 1


async def test_unreachable_redis_is_store_unavailable() -> None:
    connection = RedisConnection("redis://127.0.0.1:1/0")
    jobs = RedisJobs(connection)
    for call in (jobs.ping(), jobs.get(new_id()), jobs.metrics(), jobs.existing([new_id()])):
        with pytest.raises(StoreUnavailable):
            await call
    await connection.close()


async def test_full_redis_refuses_new_work_and_lets_accepted_work_end(store: Store) -> None:
    idle = await store.uploaded()
    started = await store.started()
    await store.enqueued()
    await store.connection.client.config_set("maxmemory", 1)
    try:
        for call in (store.uploaded(), store.enqueued(idle), store.jobs.ping()):
            with pytest.raises(StoreUnavailable):
                await call
        await store.queue.report(started.job.id, started.attempt, "decode", 50)
        assert (await store.committed(started)).state is JobState.READY
        assert await store.jobs.hold_sweep("one", 60)  # what is over must go, above all now
        waiting = await store.begun(await store.taken())
        assert (await store.committed(waiting)).state is JobState.READY
    finally:
        await store.connection.client.config_set("maxmemory", 0)
    assert (await store.jobs.get(idle)).state is JobState.UPLOADED
    assert (await store.jobs.metrics()).waiting == 0


async def test_wrong_kind_of_key_is_a_fault_and_not_unavailable(store: Store) -> None:
    job_id = new_id()
    await store.connection.client.set(redis_keys.JOB + job_id, "not a hash")
    with pytest.raises(StoreFault):
        await store.jobs.get(job_id)
