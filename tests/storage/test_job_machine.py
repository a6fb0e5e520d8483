"""Random lives of jobs, checked step by step against a plain model in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from storage import redis_keys
from storage.errors import JobBusy, JobNotFound, LeaseLost, OwnerQueueFull, QueueFull
from storage.job_metrics import StoreMetrics
from storage.job_queue import Delivery, Started
from storage.jobs import Job
from storage.redis_connection import RedisConnection
from storage.redis_jobs import RedisJobs
from storage.redis_outbox import RedisOutbox
from storage.redis_queue import MAX_TRIES, RedisQueue
from storage.redis_server import RedisServer
from tests.storage.fair_line import FairLine
from tests.storage.samples import new_id, picture

CONSUMERS = st.sampled_from(["one", "two", "three"])
CALLBACKS = st.sampled_from([None, "https://one.example/", "https://two.example/x"])
MAX_QUEUED, MAX_QUEUED_OF_OWNER = 6, 4


@dataclass
class ModelJob:
    digest: str
    owner: str
    cost: int = 1
    state: str = "uploaded"
    run: int = 0
    attempt: int = 0
    tries: int = 0
    progress: int = 0
    order: int = 0
    waiting: bool = False
    callback: bool = False
    holder: str | None = None  # the consumer that has it


class JobMachine(RuleBasedStateMachine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.connection = RedisConnection(self.url)
        self.jobs, self.queue = RedisJobs(self.connection), RedisQueue(self.connection)
        self.do(self.connection.client.flushall())
        self.do(self.connection.make_group())
        self.model: dict[str, ModelJob] = {}
        self.ids: list[str] = []  # also of deleted jobs
        self.deliveries: list[Delivery] = []  # also stale ones
        self.started: list[Started] = []
        self.order = 0
        self.line = FairLine()
        self.outbox = RedisOutbox(self.connection)
        self.webhooks: dict[tuple[str, int], str] = {}  # of runs that ended and were not deleted: how

    def do(self, call: Coroutine[Any, Any, Any]) -> Any:
        async def run() -> Any:
            return await call

        return self.loop.run(run())

    def teardown(self) -> None:
        # Whatever happened, every accepted job comes to an end.
        for _ in range(10 * len(self.ids) + 10):
            delivery = self.do(self.queue.take("last"))
            if delivery is None:
                found = self.do(self.queue.reclaim("last", 0))
                if not found:
                    break
                delivery = found[0]
            started = self.do(self.queue.begin(delivery))
            if started is not None:
                self.do(self.queue.commit(delivery, started.attempt, "{}", {}))
                self.ended(delivery.job_id, "ready")
            elif (job := self.model.get(delivery.job_id)) and job.tries == MAX_TRIES:
                self.ended(delivery.job_id, "error")
        assert self.do(self.jobs.metrics()).jobs["processing"] == 0
        found = self.do(self.outbox.claim(1000, 60, 1000, {}))
        assert {(one.job.id, one.job.run): str(one.job.state) for one in found} == self.webhooks
        assert len(found) == len(self.webhooks)
        assert self.do(self.connection.client.xlen(redis_keys.QUEUE)) == 0
        self.do(self.connection.close())
        self.loop.close()

    def ended(self, job_id: str, state: str) -> None:
        job = self.model[job_id]
        if job.callback:
            self.webhooks[job_id, job.run] = state

    def held_by(self, consumer: str) -> set[str]:
        return {i for i, job in self.model.items() if job.state == "processing" and job.holder == consumer}

    def tickets_given_back(self) -> int:
        arguments = (redis_keys.QUEUE, redis_keys.GROUP, "-", "+", 100, redis_keys.GIVEN_BACK)
        return len(self.do(self.connection.client.xpending_range(*arguments)))

    def hand_over(self, delivery: Delivery, consumer: str) -> None:
        """A delivery of a job that waits must be of the one whose turn it is."""
        job = self.model[delivery.job_id]
        if job.waiting:
            assert delivery.job_id == self.line.take()
            job.waiting = False
        assert delivery.run == job.run
        job.holder = consumer
        self.deliveries.append(delivery)

    def current(self, started: Started) -> ModelJob | None:
        job = self.model.get(started.job.id)
        if job is None or job.state != "processing":
            return None
        return job if (job.run, job.attempt) == (started.job.run, started.attempt) else None

    @rule(digest=st.sampled_from(["aa", "bb"]), owner=st.sampled_from(["", "ann", "bob"]))
    def create(self, digest: str, owner: str) -> None:
        job_id = new_id()
        self.do(self.jobs.create(job_id, picture(digest), {}, 60, owner))
        self.model[job_id] = ModelJob(digest, owner)
        self.ids.append(job_id)

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), objects=st.integers(1, 4), callback=CALLBACKS)
    def enqueue(self, data: st.DataObject, objects: int, callback: str | None) -> None:
        job_id = data.draw(st.sampled_from(self.ids))
        call = self.jobs.enqueue(
            job_id,
            "{}",
            objects,
            max_queued=MAX_QUEUED,
            max_queued_of_owner=MAX_QUEUED_OF_OWNER,
            ttl_s=60,
            callback_url=callback,
        )
        job = self.model.get(job_id)
        line = [one for one in self.model.values() if one.waiting]
        if job is None:
            expected: type[Exception] | None = JobNotFound
        elif job.state == "processing":
            expected = JobBusy
        elif len(line) >= MAX_QUEUED:
            expected = QueueFull
        elif sum(one.owner == job.owner for one in line) >= MAX_QUEUED_OF_OWNER:
            expected = OwnerQueueFull
        else:
            expected = None
        if expected is not None:
            with pytest.raises(expected):
                self.do(call)
            return
        assert job is not None
        self.order += 1
        job.run += 1
        assert self.do(call).run == job.run
        job.state, job.tries, job.progress, job.holder = "processing", 0, 0, None
        job.waiting, job.order, job.cost = True, self.order, objects
        self.line.enter(job_id, job.owner, self.order, objects)
        job.callback = callback is not None

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(self.ids))
        answer = self.do(self.jobs.delete(job_id))
        job = self.model.pop(job_id, None)
        self.line.leave(job_id)
        self.webhooks = {key: state for key, state in self.webhooks.items() if key[0] != job_id}
        assert answer.existed == (job is not None)
        last = job is not None and all(one.digest != job.digest for one in self.model.values())
        assert answer.unused_digest == (job.digest if job is not None and last else None)

    @rule(consumer=CONSUMERS)
    def take(self, consumer: str) -> None:
        delivery = self.do(self.queue.take(consumer))
        assert (delivery is not None) == any(job.waiting for job in self.model.values())
        if delivery is not None:
            self.hand_over(delivery, consumer)

    @rule(consumer=CONSUMERS)
    def reclaim(self, consumer: str) -> None:
        mine = self.held_by(consumer)
        holding = [one for one in self.deliveries if one.job_id in mine]
        others = {i for i, job in self.model.items() if job.state == "processing" and job.holder} - mine
        tickets = len(others) + self.tickets_given_back()
        taken = self.do(self.queue.reclaim(consumer, 0, holding=holding, limit=2))
        assert len(taken) == min(2, tickets)
        for delivery in taken:
            assert delivery.job_id in others or self.model[delivery.job_id].waiting
            self.hand_over(delivery, consumer)

    @precondition(lambda self: self.deliveries)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        delivery = data.draw(st.sampled_from(self.deliveries))
        started = self.do(self.queue.begin(delivery))
        job = self.model.get(delivery.job_id)
        if (
            job is None
            or (job.state, job.run) != ("processing", delivery.run)
            or job.holder != delivery.consumer
        ):
            assert started is None
            return
        if job.tries == MAX_TRIES:
            assert started is None
            job.state = "error"
            self.ended(delivery.job_id, "error")
            return
        job.attempt += 1
        job.tries += 1
        assert (started.attempt, started.job.tries) == (job.attempt, job.tries)
        self.started.append(started)

    @precondition(lambda self: self.started)
    @rule(data=st.data(), progress=st.integers(0, 100))
    def report(self, data: st.DataObject, progress: int) -> None:
        started = data.draw(st.sampled_from(self.started))
        call = self.queue.report(started.job.id, started.attempt, "encode", progress)
        job = self.current(started)
        if job is None:
            with pytest.raises(LeaseLost):
                self.do(call)
        else:
            self.do(call)
            job.progress = max(job.progress, progress)

    @precondition(lambda self: self.started)
    @rule(data=st.data(), state=st.sampled_from(["ready", "error"]))
    def finish(self, data: st.DataObject, state: str) -> None:
        started = data.draw(st.sampled_from(self.started))
        if state == "ready":
            call = self.queue.commit(started.delivery, started.attempt, "{}", {})
        else:
            call = self.queue.fail(started.delivery, started.attempt, "broken")
        job = self.current(started)
        if job is not None:
            self.do(call)
            job.state = state
            self.ended(started.job.id, state)
            job.progress = 100 if state == "ready" else job.progress
            return
        ended = self.model.get(started.job.id)
        if ended is not None and (ended.state, ended.attempt) == (state, started.attempt):
            self.do(call)  # sent again: no harm
        else:
            with pytest.raises(LeaseLost):
                self.do(call)

    @precondition(lambda self: self.started)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        started = data.draw(st.sampled_from(self.started))
        job = self.current(started)
        assert self.do(self.queue.give_back(started.delivery, started.attempt)) == (job is not None)
        if job is not None:
            job.attempt += 1
            job.tries = max(job.tries - 1, 0)
            job.waiting, job.holder = True, None
            self.line.enter_again(started.job.id, job.owner, job.order, job.cost)

    @rule(consumer=CONSUMERS)
    def heartbeat(self, consumer: str) -> None:
        mine = [one for one in self.deliveries if one.consumer == consumer]
        ours = self.do(self.queue.heartbeat(mine))
        held = self.held_by(consumer)
        expected = {one for one in mine if one.job_id in held and self.model[one.job_id].run == one.run}
        assert ours == expected

    @invariant()
    def store_agrees_with_the_model(self) -> None:
        async def read_all() -> tuple[StoreMetrics, int, list[Job]]:
            entries = await self.connection.client.xlen(redis_keys.QUEUE)
            return await self.jobs.metrics(), entries, [await self.jobs.get(i) for i in self.model]

        found, entries, jobs = self.do(read_all())
        states = [job.state for job in self.model.values()]
        assert found.jobs == {s: states.count(s) for s in ("uploaded", "processing", "ready", "error")}
        assert found.waiting == sum(job.waiting for job in self.model.values())
        assert entries == states.count("processing")
        for read, job in zip(jobs, self.model.values(), strict=True):
            assert (read.state, read.run, read.attempt) == (job.state, job.run, job.attempt)
            assert (read.tries, read.progress) == (job.tries, job.progress)
            assert (read.queue_position is not None) == job.waiting


def test_any_sequence_of_calls_keeps_the_store_consistent(storage_redis: RedisServer) -> None:
    JobMachine.url = storage_redis.url
    run_state_machine_as_test(
        JobMachine,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # at most 30 steps: shorter ones are not worth minutes of search
            suppress_health_check=list(HealthCheck),
        ),
    )
