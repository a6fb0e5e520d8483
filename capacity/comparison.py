"""One load, measured on the service and predicted by the simulation.

Owns which loads there are, their simulation, and the table for the terminal.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capacity.arrivals import poisson
from capacity.loads import Load, LoadSeen
from capacity.outcome import Figure, Outcome, of_one_run, of_replications
from capacity.service_times import ServiceTimes
from capacity.simulation import Run, simulate

REPLICATIONS, WARM_UP_S, TAIL_S = 20, 5.0, 60.0
OPEN_SHARES = (0.3, 0.6, 0.8)
QUIET_CORES, MOST_RIVALS = 0.05, 24.0  # below the first, others are nobody


@dataclass(frozen=True, slots=True)
class Compared:
    """One load: measured and predicted, and shares of the cores."""

    load: str
    objects: int
    users: int
    rate: float  # of arrivals, per second; 0 where users come again
    measured: Outcome
    predicted: Outcome
    measured_core_share: float
    predicted_core_share: float
    foreign_cores: float
    rivals: float  # the simulation's threads of others that got these cores
    parts: Mapping[str, float]  # measured core-seconds of a visit by part, polls and clean-up included
    refused: int
    failed: tuple[str, ...]

    @property
    def errors(self) -> dict[str, float]:
        """Predicted over measured, less 1, by figure."""
        pairs = ("throughput", "p50", "p95")
        return {name: getattr(self.measured, name).error_of(getattr(self.predicted, name)) for name in pairs}


def loads_for(times: ServiceTimes, seconds: float, rng: random.Random) -> Iterator[Load]:
    """Users who come again, and visitors at shares of what the cores can do."""
    for users in (1, 2, 4, 8):
        many = f"{users} user{'s' if users > 1 else ''}"
        yield Load(f"{many}, one object", 1, seconds, WARM_UP_S, users=users)
    yield Load("4 users, three objects", 3, seconds, WARM_UP_S, users=4)
    for share in OPEN_SHARES:
        rate = share * capacity(times, 1)
        arrivals = tuple(poisson(rate, seconds, rng))
        yield Load(f"Poisson, {share:.0%} of the cores, one object", 1, seconds, WARM_UP_S, arrivals=arrivals)


def capacity(times: ServiceTimes, objects: int) -> float:
    """Visits per second that would use all cores that the idle service and others leave; polls included."""
    visits = times.visits[objects]
    # A poll on the tap, one each half second of about a second and a half, one that sees the end.
    core_s = statistics.fmean(visit.core_s + 4 * visit.poll.core_s for visit in visits)
    return (times.cores - times.background_cores - min(times.foreign_cores, times.cores / 2)) / core_s


def compare(load: Load, seen: LoadSeen, times: ServiceTimes) -> Compared:
    """The load's figures beside those of the simulation under the same load."""
    foreign = seen.spent.foreign / seen.spent.seconds
    rivals = rivals_of(load, times, foreign)
    runs = _simulated(load, times, rivals, range(REPLICATIONS))
    busy = (sum(seen.spent.by_part.values()) + seen.spent.foreign) / seen.spent.seconds / times.cores
    return Compared(
        load.name,
        load.objects,
        load.users,
        len(load.arrivals) / load.seconds,
        of_one_run(seen.jobs, load.warm_up_s, load.seconds),
        of_replications(runs, load.warm_up_s, load.seconds),
        busy,
        statistics.fmean(run.core_share for run in runs),
        foreign,
        rivals,
        parts_of_a_visit(seen, load, times),
        seen.refused,
        seen.failed,
    )


def predict_again(told: Mapping[str, Any], times: ServiceTimes, load: Load) -> Compared:
    """A load of an earlier run with its measured figures (`told`, from its file), simulated anew."""
    given = dict(told)
    given.pop("errors")
    runs = _simulated(load, times, given["rivals"], range(REPLICATIONS))
    given["measured"] = _outcome(given["measured"])
    given["predicted"] = of_replications(runs, load.warm_up_s, load.seconds)
    given["predicted_core_share"] = statistics.fmean(run.core_share for run in runs)
    given["failed"] = tuple(given["failed"])
    return Compared(**given)


def _outcome(told: Mapping[str, Any]) -> Outcome:
    figures = {name: Figure(**told[name]) for name in ("throughput", "p50", "p95")}
    return Outcome(**figures, jobs=told["jobs"])


def parts_of_a_visit(seen: LoadSeen, load: Load, times: ServiceTimes) -> dict[str, float]:
    """Core-seconds over the idle service's, of all that was done under the load, by job committed in it."""
    ended = sum(job.ready is not None and job.ready < load.seconds for job in seen.jobs)
    idle = times.parts.get("idle", {})
    return {
        part: (spent - idle.get(part, 0.0) * seen.spent.seconds) / max(ended, 1)
        for part, spent in sorted(seen.spent.by_part.items())
    }


def rivals_of(load: Load, times: ServiceTimes, foreign_cores: float) -> float:
    """How many threads of other programs get `foreign_cores` beside this load, by bisection.

    Of the load's figures only what others used of the machine goes into the simulation, by this number.
    """
    if foreign_cores < QUIET_CORES:
        return 0.0
    low, high = 0.0, MOST_RIVALS
    for _ in range(7):
        middle = (low + high) / 2
        got = statistics.fmean(run.rivals_cores for run in _simulated(load, times, middle, range(4)))
        low, high = (middle, high) if got < foreign_cores else (low, middle)
    return (low + high) / 2


def _simulated(load: Load, times: ServiceTimes, rivals: float, seeds: Iterable[int]) -> list[Run]:
    spec, visits = times.local_service(rivals), times.visits[load.objects]
    return [
        simulate(spec, visits, load.clients, seconds=load.seconds, seed=seed, tail_s=TAIL_S) for seed in seeds
    ]


def table(compared: Sequence[Compared]) -> str:
    """For the terminal."""
    lines = [
        f"{'load':<42}{'jobs':>5}  {'jobs/s':>15}{'error':>7}  {'p50 s':>13}{'error':>7}  "
        f"{'p95 s':>13}{'error':>7}  {'cores':>11}  others"
    ]
    for one in compared:
        cells = "".join(
            f"  {getattr(one.measured, name).value:>6.2f} {getattr(one.predicted, name).value:>6.2f}"
            f"{one.errors[name]:>+7.0%}"
            for name in ("throughput", "p50", "p95")
        )
        share = f"{one.measured_core_share:>5.0%} {one.predicted_core_share:>5.0%}"
        lines.append(
            f"{one.load:<42}{one.measured.jobs:>5.0f}{cells}  {share}  {one.foreign_cores:.2f}"
            + (f"  FAILED {len(one.failed)}: {one.failed[0]}" if one.failed else "")
        )
    return "\n".join(lines)
