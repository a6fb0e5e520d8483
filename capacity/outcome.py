"""Figures of a run, measured or simulated, made in the same way of both.

Owns the discarding of the warm-up, percentiles, and intervals from replications or from resampling.
"""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from capacity.simulation import JobSeen, Run


@dataclass(frozen=True, slots=True)
class Figure:
    """A value and half the width of its 95 % interval."""

    value: float
    half_width: float

    def error_of(self, predicted: Figure) -> float:
        """How far a prediction is off, as a share of this value."""
        return predicted.value / self.value - 1 if self.value else float("nan")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Jobs per second and seconds from the tap to `ready`."""

    throughput: Figure
    p50: Figure
    p95: Figure
    jobs: float


def percentile(values: Sequence[float], share: float) -> float:
    """By linear interpolation; `share` in 0..1. NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def responses(jobs: Sequence[JobSeen], warm_up_s: float) -> list[float]:
    """Seconds of the jobs that ended, of those tapped after the warm-up."""
    return [job.ready - job.tapped for job in jobs if job.ready is not None and job.tapped >= warm_up_s]


def commits(jobs: Sequence[JobSeen], warm_up_s: float, ends_s: float) -> list[float]:
    """When jobs became ready, inside the window."""
    return sorted(job.ready for job in jobs if job.ready is not None and warm_up_s <= job.ready < ends_s)


def of_replications(runs: Sequence[Sequence[Run]], warm_up_s: float, ends_s: float) -> Outcome:
    """Means over independent replications of the simulation, each of one run a leg, and their intervals."""
    replications = [_Pooled([run.jobs for run in legs], warm_up_s, ends_s) for legs in runs]

    def figure(value: Callable[[_Pooled], float]) -> Figure:
        values = [one for pooled in replications if (one := value(pooled)) == one]
        if len(values) < 2:
            return Figure(values[0] if values else float("nan"), float("nan"))
        return Figure(
            statistics.fmean(values), student_t(len(values)) * statistics.stdev(values) / len(values) ** 0.5
        )

    return Outcome(
        figure(lambda pooled: pooled.rate),
        figure(lambda pooled: percentile(pooled.seconds, 0.50)),
        figure(lambda pooled: percentile(pooled.seconds, 0.95)),
        statistics.fmean(len(pooled.seconds) for pooled in replications),
    )


def of_real_runs(
    legs: Sequence[Sequence[JobSeen]], warm_up_s: float, ends_s: float, seed: int = 0
) -> Outcome:
    """Figures of the jobs of real runs; intervals by drawing the jobs again, taken for independent."""
    rng, pooled = random.Random(seed), _Pooled(legs, warm_up_s, ends_s)
    seconds, gaps = pooled.seconds, pooled.gaps

    def figure(share: float) -> Figure:
        drawn = (
            [percentile(rng.choices(seconds, k=len(seconds)), share) for _ in range(400)] if seconds else []
        )
        width = (percentile(drawn, 0.975) - percentile(drawn, 0.025)) / 2
        return Figure(percentile(seconds, share), width)

    spread = statistics.stdev(gaps) / statistics.fmean(gaps) if len(gaps) > 1 else 1.0
    return Outcome(
        Figure(pooled.rate, 1.96 * pooled.rate * spread / max(pooled.ended, 1) ** 0.5),
        figure(0.50),
        figure(0.95),
        len(seconds),
    )


class _Pooled:
    """The jobs of several runs of one load."""

    def __init__(self, legs: Sequence[Sequence[JobSeen]], warm_up_s: float, ends_s: float) -> None:
        ends = [commits(jobs, warm_up_s, ends_s) for jobs in legs]
        self.seconds = [value for jobs in legs for value in responses(jobs, warm_up_s)]
        self.ended = sum(map(len, ends))
        self.rate = self.ended / (len(legs) * (ends_s - warm_up_s))
        self.gaps = [later - sooner for one in ends for sooner, later in itertools.pairwise(one)]


def student_t(count: int) -> float:
    """Two-sided 95 % quantile of Student's t for a mean of `count` values (Cornish-Fisher)."""
    z, freedom = 1.959964, count - 1
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
