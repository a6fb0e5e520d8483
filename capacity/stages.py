"""A stage of the DAG in the simulation: replicas, places, batches.

Owns how calls wait for a replica and for each other. What a call costs is `jobs.py`'s, what it runs on
`processors.py`'s.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import simpy

from capacity.processors import Processors, Work


@dataclass(frozen=True, slots=True)
class StageSpec:
    """Numbers of one deployment, as in the serve config.

    `at_once`: calls that a replica works on at the same time (batches, where it batches). `max_batch`,
    `batch_wait_s`: as `@serve.batch`. `batch_saves_s`: core-seconds that each call after the first of a
    batch costs less than alone. `own_cores`: what each replica has to itself; 0: it shares the machine's.
    """

    replicas: int = 1
    at_once: int = 1
    max_batch: int = 1
    batch_wait_s: float = 0.0
    batch_saves_s: float = 0.0
    own_cores: float = 0.0


@dataclass(slots=True)
class _Call:
    work: Work
    kind: int  # calls of different kinds share a batch but no run of the network
    done: simpy.Event


class Stage:
    """All replicas of one stage. Replica i runs on `places[i % len(places)]`."""

    def __init__(
        self, env: simpy.Environment, spec: StageSpec, places: Sequence[Processors], rng: random.Random
    ) -> None:
        self._env = env
        self._rng = rng
        self._replicas = [_Replica(env, spec, places[i % len(places)]) for i in range(spec.replicas)]
        self.calls = 0

    def call(self, work: Work, kind: int = 0) -> simpy.Event:
        """An event that happens when a replica has done the work."""
        self.calls += 1
        call = _Call(work, kind, self._env.event())
        # As Ray Serve's router: of two replicas picked at random, the one with fewer calls.
        picked = self._rng.sample(self._replicas, 2) if len(self._replicas) > 1 else self._replicas
        min(picked, key=lambda replica: replica.load).take(call)
        return call.done

    @property
    def waiting(self) -> int:
        """Calls that no replica works on yet."""
        return sum(len(replica.line) for replica in self._replicas)

    @property
    def busy_s(self) -> float:
        """Seconds in which a place of a replica was taken, over all of them; ended work only."""
        return sum(replica.busy_s for replica in self._replicas)

    @property
    def batches(self) -> int:
        """Runs so far; `calls / batches` is the mean batch."""
        return sum(replica.batches for replica in self._replicas)


class _Replica:
    def __init__(self, env: simpy.Environment, spec: StageSpec, processors: Processors) -> None:
        self._env, self._spec, self._processors = env, spec, processors
        self._running = 0
        self._held_open = False
        self.line: deque[_Call] = deque()
        self.busy_s = 0.0
        self.batches = 0

    @property
    def load(self) -> int:
        return len(self.line) + self._running

    def take(self, call: _Call) -> None:
        self.line.append(call)
        if self._running >= self._spec.at_once:
            return
        if len(self.line) >= self._spec.max_batch or not self._spec.batch_wait_s:
            self._start()
        elif not self._held_open:
            self._env.process(self._wait_for_more())

    def _wait_for_more(self) -> Generator[simpy.Event, Any, None]:
        self._held_open = True
        yield self._env.timeout(self._spec.batch_wait_s)
        self._held_open = False
        if self.line and self._running < self._spec.at_once:
            self._start()

    def _start(self) -> None:
        self._running += 1
        self._env.process(self._run())

    def _run(self) -> Generator[simpy.Event, Any, None]:
        # Calls of one moment share a batch, as those do that one turn of an event loop brings.
        if self._spec.max_batch > 1:
            yield self._env.timeout(0)
        while self.line:
            batch = [self.line.popleft() for _ in range(min(len(self.line), self._spec.max_batch))]
            self.batches += 1
            began = self._env.now
            yield self._env.process(self._processors.perform(self._together(batch)))
            self.busy_s += self._env.now - began
            for call in batch:
                call.done.succeed()
        self._running -= 1

    def _together(self, batch: Sequence[_Call]) -> Work:
        if len(batch) == 1:
            return batch[0].work
        by_kind: dict[int, list[Work]] = defaultdict(list)
        for call in batch:
            by_kind[call.kind].append(call.work)
        core_s = sum(
            sum(work.core_s for work in works) - (len(works) - 1) * self._spec.batch_saves_s
            for works in by_kind.values()
        )
        first = batch[0].work
        return Work(max(core_s, 0.0), first.threads, max(call.work.wait_s for call in batch), first.weight)
