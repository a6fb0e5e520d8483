"""One load, measured on the service and predicted by the simulation.

Owns which loads there are, their simulation, and the table for the terminal.
"""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from capacity.arrivals import poisson_of
from capacity.loads import Load, LoadSeen
from capacity.outcome import Figure, Outcome, commits, of_real_runs, of_replications
from capacity.service_times import ServiceTimes
from capacity.simulation import Run, simulate

REPLICATIONS, WARM_UP_S, TAIL_S = 20, 5.0, 60.0
OPEN_SHARES = (0.3, 0.6, 0.8)
OPEN_TIMES = 2  # as long as loads of users: their slowest jobs come in bursts, of which there are few
QUIET_CORES, MOST_RIVALS = 0.05, 24.0  # below the first, others are nobody


@dataclass(frozen=True, slots=True)
class Leg:
    """One run of a load. `pace`: how much longer than usual the machine needed for the same jobs."""

    load: Load
    seen: LoadSeen
    pace: float


@dataclass(frozen=True, slots=True)
class LegTold:
    """What the simulation is told of a leg, and the leg's own answers, of which it knows nothing.

    `rivals`: threads of others that got what others used. `answers`: moments of the taps, seconds from the
    beginning, and seconds from each until ready.
    """

    pace: float
    rivals: float
    arrivals: Sequence[float]
    answers: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """One load: measured and predicted, and shares of the cores."""

    load: str
    objects: int
    users: int
    seconds: float  # of a leg
    measured: Outcome
    predicted: Outcome
    measured_core_share: float
    predicted_core_share: float
    foreign_cores: float
    legs: tuple[LegTold, ...]
    parts: Mapping[str, float]  # measured core-seconds of a visit by part, polls and clean-up included
    refused: int
    failed: tuple[str, ...]

    @property
    def errors(self) -> dict[str, float]:
        """Predicted over measured, less 1, by figure."""
        pairs = ("throughput", "p50", "p95")
        return {name: getattr(self.measured, name).error_of(getattr(self.predicted, name)) for name in pairs}


def loads_for(most: Callable[[], float], seconds: float, rng: random.Random) -> Iterator[Load]:
    """Users who come again, and visitors at shares of the visits a second that fill the cores.

    `most` tells how many those are, as the machine is when a load begins. Exactly as many visitors come as
    the share says: among some forty, chance alone would make 95 % of 80 %, where no queue ends any more.
    """
    for users in (1, 2, 4, 8):
        many = f"{users} user{'s' if users > 1 else ''}"
        yield Load(f"{many}, one object", 1, seconds, WARM_UP_S, users=users)
    yield Load("4 users, three objects", 3, seconds, WARM_UP_S, users=4)
    for share in OPEN_SHARES:
        longer = OPEN_TIMES * seconds
        arrivals = tuple(poisson_of(round(share * most() * longer), longer, rng))
        yield Load(f"Poisson, {share:.0%} of the cores, one object", 1, longer, WARM_UP_S, arrivals=arrivals)


def capacity(times: ServiceTimes, objects: int) -> float:
    """Visits per second that would use all cores that the idle service and others leave; polls included."""
    visits = times.visits[objects]
    # A poll on the tap, one each half second of about a second and a half, one that sees the end.
    core_s = statistics.fmean(visit.core_s + 4 * visit.poll.core_s for visit in visits)
    return (times.cores - times.background_cores - min(times.foreign_cores, times.cores / 2)) / core_s


def compare(legs: Sequence[Leg], times: ServiceTimes) -> Compared:
    """A load's figures beside those of the simulation under the same load, each leg at its pace."""
    load, seconds = legs[0].load, sum(leg.seen.spent.seconds for leg in legs)
    told = tuple(
        LegTold(
            leg.pace,
            rivals_of(leg, times),
            tuple(round(at, 4) for at in leg.load.arrivals),
            tuple(
                (round(job.tapped, 2), round(job.ready - job.tapped, 3))
                for job in leg.seen.jobs
                if job.ready is not None
            ),
        )
        for leg in legs
    )
    runs = _simulated(load, told, times)
    foreign = sum(leg.seen.spent.foreign for leg in legs)
    busy = foreign + sum(sum(leg.seen.spent.by_part.values()) for leg in legs)
    return Compared(
        load.name,
        load.objects,
        load.users,
        load.seconds,
        of_real_runs([leg.seen.jobs for leg in legs], load.warm_up_s, load.seconds),
        of_replications(runs, load.warm_up_s, load.seconds),
        busy / seconds / times.cores,
        _core_share(runs),
        foreign / seconds,
        told,
        parts_of_a_visit(legs, times),
        sum(leg.seen.refused for leg in legs),
        tuple(failure for leg in legs for failure in leg.seen.failed),
    )


def predict_again(told: Mapping[str, Any], times: ServiceTimes) -> Compared:
    """A load of an earlier run with its measured figures (`told`, from its file), simulated anew."""
    given = dict(told)
    given.pop("errors")
    legs = tuple(LegTold(**leg) for leg in given["legs"])
    load = Load(given["load"], given["objects"], given["seconds"], WARM_UP_S, users=given["users"])
    runs = _simulated(load, legs, times)
    given["measured"] = _outcome(given["measured"])
    given["predicted"] = of_replications(runs, WARM_UP_S, load.seconds)
    given["predicted_core_share"] = _core_share(runs)
    given["legs"], given["failed"] = legs, tuple(given["failed"])
    return Compared(**given)


def _outcome(told: Mapping[str, Any]) -> Outcome:
    figures = {name: Figure(**told[name]) for name in ("throughput", "p50", "p95")}
    return Outcome(**figures, jobs=told["jobs"])


def parts_of_a_visit(legs: Sequence[Leg], times: ServiceTimes) -> dict[str, float]:
    """Core-seconds over the idle service's, of all that was done under the load, by job committed in it."""
    idle, ended = times.parts.get("idle", {}), 0
    spent: defaultdict[str, float] = defaultdict(float)
    for leg in legs:
        seen, seconds = leg.seen, leg.seen.spent.seconds
        ended += len(commits(seen.jobs, 0.0, seconds))
        for part, value in seen.spent.by_part.items():
            spent[part] += value - idle.get(part, 0.0) * seconds
    return {part: value / max(ended, 1) for part, value in sorted(spent.items())}


def rivals_of(leg: Leg, times: ServiceTimes) -> float:
    """How many threads of other programs get what others used beside this load, by bisection.

    Of the load's figures only that goes into the simulation, by this number.
    """
    foreign_cores = leg.seen.spent.foreign / leg.seen.spent.seconds
    if foreign_cores < QUIET_CORES:
        return 0.0
    low, high = 0.0, MOST_RIVALS
    for _ in range(7):
        middle = (low + high) / 2
        told = LegTold(leg.pace, middle, leg.load.arrivals)
        runs = _simulated(leg.load, (told,), times, replications=4)
        got = statistics.fmean(run.rivals_cores for (run,) in runs)
        low, high = (middle, high) if got < foreign_cores else (low, middle)
    return (low + high) / 2


def _simulated(
    load: Load, legs: Sequence[LegTold], times: ServiceTimes, replications: int = REPLICATIONS
) -> list[list[Run]]:
    """A list of legs for each replication."""
    then = [times.at_pace(leg.pace) for leg in legs]
    return [
        [
            simulate(
                at_pace.local_service(leg.rivals),
                at_pace.visits[load.objects],
                replace(load, arrivals=leg.arrivals).clients,
                seconds=load.seconds,
                seed=len(legs) * number + place,
                tail_s=TAIL_S,
            )
            for place, (leg, at_pace) in enumerate(zip(legs, then, strict=True))
        ]
        for number in range(replications)
    ]


def _core_share(runs: Sequence[Sequence[Run]]) -> float:
    return statistics.fmean(run.core_share for legs in runs for run in legs)


def table(compared: Sequence[Compared]) -> str:
    """For the terminal."""
    lines = [
        f"{'load':<42}{'jobs':>5}  {'jobs/s':>15}{'error':>7}  {'p50 s':>13}{'error':>7}  "
        f"{'p95 s':>13}{'error':>7}  {'cores':>11}  {'pace':>4}  others"
    ]
    for one in compared:
        cells = "".join(
            f"  {getattr(one.measured, name).value:>6.2f} {getattr(one.predicted, name).value:>6.2f}"
            f"{one.errors[name]:>+7.0%}"
            for name in ("throughput", "p50", "p95")
        )
        pace = statistics.fmean(leg.pace for leg in one.legs)
        share = f"{one.measured_core_share:>5.0%} {one.predicted_core_share:>5.0%}"
        lines.append(
            f"{one.load:<42}{one.measured.jobs:>5.0f}{cells}  {share}  {pace:.2f}"
            f"  {one.foreign_cores:.2f}"
            + (f"  FAILED {len(one.failed)}: {one.failed[0]}" if one.failed else "")
        )
    return "\n".join(lines)
