"""Loads put on a real service and on the simulation alike.

Owns the driving of the real one by threads: a number of users who come again, or visitors at given
moments. Pictures are drawn before the clock starts.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from capacity.processor_time import ProcessorTime, Spent
from capacity.simulation import Clients, JobSeen
from capacity.visitor import Visitor, fresh_seed, new_pictures
from trials.service import Service

MOST_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Load:
    """`users` or `arrivals` (seconds from the beginning) for `seconds`, the first `warm_up_s` not counted."""

    name: str
    objects: int
    seconds: float
    warm_up_s: float
    users: int = 0
    arrivals: Sequence[float] = ()
    look_s: float = 1.0
    poll_s: float = 0.5
    look_spread: float = 0.5  # users in step with each other would collide always, or never

    @property
    def clients(self) -> Clients:
        """The same for the simulation."""
        return Clients(self.users, self.arrivals, self.look_s, self.poll_s, self.look_spread)


@dataclass(frozen=True, slots=True)
class LoadSeen:
    """What a load got from the service. `spent` is from the beginning to the last arrival's end of time."""

    jobs: tuple[JobSeen, ...]
    spent: Spent
    refused: int
    failed: tuple[str, ...]


class Driver:
    """Drives one service with one load."""

    def __init__(self, service: Service, load: Load, side: int) -> None:
        self._service, self._load = service, load
        # A user looks for a second, and no machine of ours bears three visits a second.
        expected = len(load.arrivals) or int(min(load.users, 3) * load.seconds) + load.users
        self._pictures = itertools.cycle(new_pictures(expected, side, fresh_seed()))
        self._rng = random.Random(fresh_seed())
        self._lock = threading.Lock()
        self._jobs: list[JobSeen] = []
        self._failed: list[str] = []
        self._refused = 0
        self._began, self._began_at = 0.0, 0.0

    def run(self) -> LoadSeen:
        """Until every visit has ended."""
        load, clock = self._load, ProcessorTime(self._service.process)
        self._began, self._began_at = time.monotonic(), time.time()
        work: Callable[[float], None] = self._user if load.users else self._visitor
        moments = [0.0] * load.users or list(load.arrivals)
        with ThreadPoolExecutor(min(max(len(moments), 1), MOST_AT_ONCE)) as pool:
            futures = []
            for moment in moments:
                time.sleep(max(0.0, self._began + moment - time.monotonic()))
                futures.append(pool.submit(work, moment))
            time.sleep(max(0.0, self._began + load.seconds - time.monotonic()))
            spent = clock.lap()
            for future in futures:
                future.result()
        return LoadSeen(tuple(self._jobs), spent, self._refused, tuple(self._failed))

    def _user(self, _: float) -> None:
        visitor = Visitor(self._service.url, self._load.poll_s)
        while time.monotonic() < self._began + self._load.seconds:
            self._visit(visitor)
        self._leave(visitor)

    def _visitor(self, _: float) -> None:
        visitor = Visitor(self._service.url, self._load.poll_s)
        self._visit(visitor)
        self._leave(visitor)

    def _visit(self, visitor: Visitor) -> None:
        with self._lock:
            picture, look_s = next(self._pictures), self._load.clients.look(self._rng)
        try:
            seen = visitor.visit(picture, self._load.objects, look_s)
        except Exception as error:
            with self._lock:
                self._failed.append(f"{type(error).__name__}: {error}"[:300])
            time.sleep(0.5)  # a service that refuses everything is not hammered
            return
        job = JobSeen(self._load.objects, seen.tapped_at - self._began_at, seen.ready_at - self._began_at)
        with self._lock:
            self._jobs.append(job)

    def _leave(self, visitor: Visitor) -> None:
        visitor.close()
        with self._lock:
            self._refused += visitor.refused
