"""What a core-second costs on a full machine, from one load that keeps every core of it busy.

Owns that load, which is none of those that are predicted, and the fit of two factors: with them the
simulation spends per visit, in networks and outside of them, what the service's processes spent. Alone, a
network has every core, and its threads wait for each other most; all other work finds a core that has just
woken. How much less that is beside others, made-up neighbours do not tell: a network beside them came out as
.70 and as .98, a PNG on every core as 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from capacity.comparison import Leg, parts_of_a_visit
from capacity.loads import Load
from capacity.outcome import commits
from capacity.service_times import ServiceTimes
from capacity.simulation import ON_GPU, simulate

REPLICATIONS = 8
LEAST, MOST = 0.5, 1.5  # the factors' bounds
_ROUNDS = 8  # each leaves less than half of the error
_ZEAL = 1.5  # a network's cost moves by less than `thrift` does, where not all threads wait


@dataclass(frozen=True, slots=True)
class Full:
    """Core-seconds of a visit on the full machine, client and polls included; `paces` of its legs."""

    seconds: float  # of a leg
    visits: int
    networks_core_s: float
    others_core_s: float
    paces: Sequence[float]


def full_load(seconds: float) -> Load:
    """Six users with two objects each: more than the cores can do."""
    return Load("6 users, two objects", 2, seconds, 0.0, users=6)


def seen_full(legs: Sequence[Leg], times: ServiceTimes) -> Full:
    """Of the load as the service bore it."""
    parts = parts_of_a_visit(legs, times)
    networks = sum(parts.get(stage, 0.0) for stage in ON_GPU)
    return Full(
        legs[0].load.seconds,
        sum(len(commits(leg.seen.jobs, 0.0, leg.load.seconds)) for leg in legs),
        networks,
        sum(parts.values()) - networks,
        tuple(leg.pace for leg in legs),
    )


def fitted(times: ServiceTimes, full: Full) -> ServiceTimes:
    """The same with both factors, each moved by what the simulation spends too much or too little.

    What was begun and not ended counts on both sides alike.
    """
    for _ in range(_ROUNDS):
        networks_core_s, others_core_s = _simulated_core_s(times, full)
        times = replace(
            times,
            thrift=_bounded(times.thrift * (full.networks_core_s / networks_core_s) ** _ZEAL),
            crowding=_bounded(times.crowding * full.others_core_s / others_core_s),
        )
    return times


def _bounded(factor: float) -> float:
    return min(max(factor, LEAST), MOST)


def _simulated_core_s(times: ServiceTimes, full: Full) -> tuple[float, float]:
    """Core-seconds of a visit: in networks, and outside of them."""
    load, networks, used, ended = full_load(full.seconds), 0.0, 0.0, 0
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
            networks += run.networks_cores * run.seconds
            used += (run.core_share * times.cores - then.background_cores) * run.seconds
            ended += len(commits(run.jobs, 0.0, run.seconds))
    return networks / max(ended, 1), (used - networks) / max(ended, 1)
