"""Load of visits: as fast as a number of clients go, or at a steady rate.

Owns threads and the clock.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from trials.visits import Visitor


def measure_rate(visitor: Visitor, *, clients: int, seconds: float, seeds: Iterator[int]) -> float:
    """Visits per second that `clients` reach, each beginning its next visit when the last has ended."""
    ends = time.monotonic() + seconds
    lock = threading.Lock()
    done = 0

    def client() -> None:
        nonlocal done
        while time.monotonic() < ends:
            with lock:
                seed = next(seeds)
            visitor.visit(seed)
            with lock:
                done += 1

    started = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        for future in [pool.submit(client) for _ in range(clients)]:
            future.result()
    return done / (time.monotonic() - started)


class SteadyLoad:
    """Visits at `rate` per second, however long each takes, by at most `clients` at once.

    A context manager: it begins with the context and ends with it, its last visits included.
    """

    def __init__(self, visitor: Visitor, *, rate: float, clients: int, seeds: Iterator[int]) -> None:
        self._visitor, self._rate, self._seeds = visitor, rate, seeds
        self._pool = ThreadPoolExecutor(clients)
        self._free = threading.Semaphore(clients)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.late = 0  # visits that could not begin in time because all clients were busy

    def __enter__(self) -> SteadyLoad:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._pool.shutdown()

    def _run(self) -> None:
        started = time.monotonic()
        for number in itertools.count():
            if self._stop.wait(max(0.0, started + number / self._rate - time.monotonic())):
                return
            if not self._free.acquire(blocking=False):
                self.late += 1
                continue
            self._pool.submit(self._visit, next(self._seeds))

    def _visit(self, seed: int) -> None:
        try:
            self._visitor.visit(seed)
        finally:
            self._free.release()
