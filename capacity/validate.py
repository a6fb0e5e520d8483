"""The simulation against the service, both on this machine, in one run.

    python -m capacity.validate [--seconds S] [--out FOLDER]

Measures service times with one client, loads the service in several ways, simulates the same loads with
those times, and compares. Writes `service_times.json` and `validation.json`; `python -m capacity.report`
makes the document's tables and pictures of them. 8 minutes with the usual `--seconds`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from capacity.arrivals import poisson
from capacity.crowding import measure_crowding
from capacity.jobs import Visit
from capacity.loads import Driver, Load, LoadSeen
from capacity.one_client import (
    STAGES,
    OneClient,
    cores_in_use,
    mean_parts,
    synced_write_s,
    visits_of,
)
from capacity.outcome import Outcome, of_one_run, of_replications
from capacity.service_times import ServiceTimes
from capacity.simulation import Run, simulate
from capacity.visitor import fresh_seed, new_pictures
from trials.service import Service, running_service

RESULTS = Path(__file__).resolve().parent / "results"
SIDE, REPLICATIONS, WARM_UP_S, TAIL_S = 1024, 20, 5.0, 60.0
PROBES = {1: 16, 3: 8}
FORGOTTEN, POLLED = 6, 60
OPEN_SHARES = (0.3, 0.6, 0.8)
GOAL = 0.20
QUIET_CORES, MOST_RIVALS = 0.05, 24.0  # below the first, others are nobody
Say = Callable[[str], None]


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


def measure_service_times(
    service: Service, probes: Mapping[int, int], crowding: float, facts: Mapping[str, Any], say: Say
) -> ServiceTimes:
    """One client alone: `probes` visits by number of objects, and the calls around them."""
    put_s = synced_write_s(service.work_dir)
    client = OneClient(service)
    say(f"idle service: {client.background_cores:.2f} cores; others: {client.foreign_cores:.2f}")
    pictures = iter(new_pictures(3 + sum(probes.values()) + FORGOTTEN, SIDE, fresh_seed()))
    for objects in (1, 1, 3):
        client.probe(next(pictures), objects)  # first jobs pay for handles and caches
    uploaded = [client.visitor.upload(next(pictures)) for _ in range(FORGOTTEN)]
    time.sleep(1.0)  # their embeddings are made
    poll = client.calls(lambda: client.visitor.poll(uploaded[0]), POLLED)
    forget = client.calls(lambda: client.visitor.forget(uploaded.pop()), FORGOTTEN)
    visits: dict[int, tuple[Visit, ...]] = {}
    parts: dict[str, Mapping[str, float]] = {
        "idle": client.background,
        "poll": poll.parts,
        "forget": forget.parts,
    }
    seen = {n: [client.probe(next(pictures), n) for _ in range(count)] for n, count in probes.items()}
    in_use = [cores_in_use(many) for many in seen.values()]
    threads = {stage: max(one.get(stage, 0.0) for one in in_use) for stage in STAGES}
    for n, many in seen.items():
        visits[n] = tuple(visits_of(many, threads, poll, forget, put_s))
        parts[f"upload for {n}"] = mean_parts(many, lambda one: one.upload)
        parts[f"job of {n}"] = mean_parts(many, lambda one: one.job)
        middle = statistics.median(one.tapped.ready_at - one.tapped.tapped_at for one in many)
        say(f"{n} object(s): {middle:.2f} s alone, {visits[n][0].core_s:.2f} core-seconds")
    client.visitor.close()
    return ServiceTimes(
        {**facts, "synced write, s": put_s},
        os.cpu_count() or 1,
        client.background_cores,
        crowding,
        client.foreign_cores,
        visits,
        parts,
    )


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


def run(seconds: float, out: Path, seed: int, say: Say) -> list[Compared]:
    """Everything; writes both files into `out`."""
    facts = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **describe_machine()}
    crowding = measure_crowding()
    say(f"crowding: a core-second of one thread costs {crowding:.2f} beside others")
    compared: list[Compared] = []
    with running_service({}) as service:
        say("the service is ready")
        times = measure_service_times(service, PROBES, crowding, facts, say)
        times.write(out / "service_times.json")
        for load in loads_for(times, seconds, random.Random(seed)):
            seen = Driver(service, load, SIDE).run()
            compared.append(compare(load, seen, times))
            say(table(compared[-1:]).splitlines()[1])
    document = {
        **facts,
        "seconds of a load": seconds,
        "replications": REPLICATIONS,
        "loads": [{**asdict(one), "errors": one.errors} for one in compared],
    }
    (out / "validation.json").write_text(json.dumps(document, indent=1) + "\n")
    return compared


def main() -> None:
    """Print the table; exit code 1 when throughput or p95 of a load is off by more than the goal."""
    parser = argparse.ArgumentParser(prog="python -m capacity.validate", description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0, help="of each of the eight loads")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the two files")
    parser.add_argument("--seed", type=int, default=1, help="of the arrivals")
    options = parser.parse_args()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {line}", flush=True)

    compared = run(options.seconds, options.out, options.seed, say)
    print(table(compared))
    missed = [
        f"{one.load}: {name} {one.errors[name]:+.0%}"
        for one in compared
        for name in ("throughput", "p95")
        if not abs(one.errors[name]) <= GOAL
    ]
    print(f"within {GOAL:.0%}: {2 * len(compared) - len(missed)} of {2 * len(compared)}")
    for line in missed:
        print(f"MISSED {line}")
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
