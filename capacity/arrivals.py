"""When clients come.

Owns arrival times: Poisson, at a rate that may change with the time of day. Times are seconds from the
beginning, ascending. Users who come again when they are served are `simulation.py`'s.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence


def poisson(rate: float, seconds: float, rng: random.Random) -> list[float]:
    """Arrivals at `rate` per second."""
    return varying(lambda _: rate, rate, seconds, rng)


def poisson_of(count: int, seconds: float, rng: random.Random) -> list[float]:
    """`count` arrivals: what a Poisson process is, once it is known how many there were."""
    return sorted(rng.uniform(0, seconds) for _ in range(count))


def varying(
    rate_at: Callable[[float], float], highest: float, seconds: float, rng: random.Random
) -> list[float]:
    """Arrivals at the rate `rate_at(t)`, never above `highest`, by thinning (Lewis and Shedler 1979)."""
    times, now = [], 0.0
    while highest > 0:
        now += rng.expovariate(highest)
        if now >= seconds:
            break
        if rng.random() * highest <= rate_at(now):
            times.append(now)
    return times


# Share of the busiest hour's calls, by hour: a stated shape, with a quiet night and an evening peak.
DAY = (
    *(0.35, 0.25, 0.18, 0.14, 0.12, 0.14, 0.22, 0.35, 0.48, 0.58, 0.64, 0.68),
    *(0.72, 0.72, 0.70, 0.70, 0.72, 0.78, 0.86, 0.95, 1.00, 0.96, 0.80, 0.55),
)


def day_rate(peak: float, day_s: float, shape: Sequence[float] = DAY) -> Callable[[float], float]:
    """The rate during a day of `day_s` seconds, `peak` per second in its busiest hour; linear in between."""

    def rate_at(now: float) -> float:
        hour = (now / day_s * len(shape)) % len(shape)
        before, share = math.floor(hour), hour % 1
        return peak * (shape[before] * (1 - share) + shape[(before + 1) % len(shape)] * share)

    return rate_at
