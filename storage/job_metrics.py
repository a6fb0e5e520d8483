"""What the store counts: values only, in no exposition format.

Owns the bucket bounds, shared by those who count and those who read.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

SECONDS_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# Of a whole run, from its acceptance on.
RUN_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0)
BATCH_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


def bucket_of(value: float, bounds: tuple[float, ...]) -> int:
    """Index of the first bound >= `value`; `len(bounds)` is the bucket above all of them."""
    return bisect_left(bounds, value)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations by size. `counts` has one entry a bound and one for what is above the last."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float

    @property
    def total(self) -> int:
        """Observations in all buckets."""
        return sum(self.counts)

    @property
    def cumulative(self) -> tuple[int, ...]:
        """Observations up to each bound, and all of them last."""
        return tuple(accumulate(self.counts))


@dataclass(frozen=True, slots=True)
class StageTiming:
    """How long one stage of one job took, in a batch of how many, and from when (epoch s, its own clock)."""

    stage: str
    seconds: float
    batch_size: int = 1
    started_at: float = 0.0

    @classmethod
    def since(cls, stage: str, started: float, batch_size: int = 1) -> Self:
        """A stage that began when `time.perf_counter()` was `started`, and ends now."""
        seconds = time.perf_counter() - started
        return cls(stage, seconds, batch_size, time.time() - seconds)


@dataclass(frozen=True, slots=True)
class WebhookCounts:
    """What became of webhooks; each only grows."""

    queued: int
    delivered: int
    retried: int  # tries that failed and were not the last
    given_up: int
    dropped: int  # their job was deleted first, or expired

    @property
    def waiting(self) -> int:
        """Those not settled yet."""
        return self.queued - self.delivered - self.given_up - self.dropped


@dataclass(frozen=True, slots=True)
class StoreMetrics:
    """Counts over all jobs. Those named `_total` only grow; the others are of this moment."""

    jobs: Mapping[str, int]  # by JobState
    waiting: int
    in_progress: int
    finished_total: Mapping[str, int]  # "ready", "error"
    retries_total: int  # attempts after the first of their run
    dead_letters_total: int
    webhooks: WebhookCounts
    stage_seconds: Mapping[str, Histogram]
    batch_sizes: Mapping[str, Histogram]
    oldest_waiting_s: float  # since the acceptance of the run that waits longest; 0 when none waits
    wait_seconds: Histogram  # from a run's acceptance to its first attempt
    run_seconds: Mapping[tuple[str, str], Histogram]  # from acceptance to end, by (outcome, objects)
