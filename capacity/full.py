"""What a network's core-second costs on a full machine, from one load that keeps every core of it busy.

Owns that load, which is none of those that are predicted, and the fit: the factor with which the simulation
spends per visit what the service spent. Alone, a network has every core, and its threads wait for each other
most; how much less they wait beside others depends on how the kernel places threads, so a network run beside
made-up neighbours does not tell it (it came out as .70 and as .98).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from capacity.comparison import Leg, parts_of_a_visit
from capacity.loads import Load
from capacity.outcome import commits
from capacity.service_times import ServiceTimes
from capacity.simulation import simulate

REPLICATIONS = 8
LEAST, MOST = 0.5, 1.5  # the factor's bounds


@dataclass(frozen=True, slots=True)
class Full:
    """Core-seconds of a visit on the full machine, client and polls included; `paces` of its legs."""

    seconds: float  # of a leg
    visits: int
    core_s: float
    paces: Sequence[float]


def full_load(seconds: float) -> Load:
    """Six users with two objects each: more than the cores can do."""
    return Load("6 users, two objects", 2, seconds, 0.0, users=6)


def seen_full(legs: Sequence[Leg], times: ServiceTimes) -> Full:
    """Of the load as the service bore it."""
    ended = sum(len(commits(leg.seen.jobs, 0.0, leg.load.seconds)) for leg in legs)
    return Full(
        legs[0].load.seconds,
        ended,
        sum(parts_of_a_visit(legs, times).values()),
        tuple(leg.pace for leg in legs),
    )


def fitted(times: ServiceTimes, full: Full) -> ServiceTimes:
    """The same with the factor for networks on few cores, by bisection.

    What was begun and not ended counts on both sides alike.
    """
    low, high = LEAST, MOST
    for _ in range(9):
        middle = (low + high) / 2
        spends = _simulated_core_s(replace(times, thrift=middle), full)
        low, high = (middle, high) if spends < full.core_s else (low, middle)
    return replace(times, thrift=(low + high) / 2)


def _simulated_core_s(times: ServiceTimes, full: Full) -> float:
    load, used, ended = full_load(full.seconds), 0.0, 0
    for seed in range(REPLICATIONS):
        for place, pace in enumerate(full.paces):
            then = times.at_pace(pace)
            run = simulate(
                then.local_service(),
                then.visits[load.objects],
                load.clients,
                seconds=full.seconds,
                seed=seed * len(full.paces) + place,
            )
            used += (run.core_share * times.cores - then.background_cores) * run.seconds
            ended += len(commits(run.jobs, 0.0, run.seconds))
    return used / max(ended, 1)
