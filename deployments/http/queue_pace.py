"""How soon it is worth asking again when the queue is full.

Owns the estimate: from how many jobs have lately ended a second, and how many may wait.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from storage.jobs import JobStore

WINDOW_S = 60.0
SAMPLE_S = 2.0  # between two looks at the store, however many are refused
UNKNOWN_S, SHORTEST_S, LONGEST_S = 5, 1, 300
SHARE = 0.1  # of the queue that is to be free again


class QueuePace:
    """Follows the store's count of ended jobs, while clients are refused."""

    def __init__(self, jobs: JobStore, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._jobs, self._limit, self._clock = jobs, limit, clock
        self._ended: deque[tuple[float, int]] = deque()

    async def retry_after_s(self) -> int:
        """Seconds until about a tenth of a full queue has been worked off; a guess before there is a pace."""
        now = self._clock()
        if not self._ended or now - self._ended[-1][0] >= SAMPLE_S:
            metrics = await self._jobs.metrics()
            self._ended.append((now, sum(metrics.finished_total.values())))
        while now - self._ended[0][0] > WINDOW_S:
            self._ended.popleft()
        (began, first), (ended, last) = self._ended[0], self._ended[-1]
        if ended - began < SAMPLE_S or last <= first:
            return UNKNOWN_S
        seconds = SHARE * self._limit * (ended - began) / (last - first)
        return min(max(math.ceil(seconds), SHORTEST_S), LONGEST_S)
