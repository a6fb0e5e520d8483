"""The simulation against the service, both on this machine, in one run.

    python -m capacity.validate [--seconds S] [--out FOLDER] [--again]

In rounds: service times with one client, then loads one after the other, before and after each of which the
machine's pace is gauged, because on shared hardware it moves. Then the same loads are simulated with those
times and compared. Writes `service_times.json` and `validation.json`, of which `python -m capacity.report`
makes the document's tables and pictures. 27 minutes with the usual options.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from capacity.alone import SIDE, Alone, Gauge, Say, one_round, service_times, together
from capacity.comparison import (
    REPLICATIONS,
    Compared,
    Leg,
    capacity,
    compare,
    loads_for,
    predict_again,
    table,
)
from capacity.full import Full, fitted, full_load, seen_full
from capacity.loads import Driver, Load, LoadSeen
from capacity.service_times import ServiceTimes, read_service_times
from trials.service import running_service

RESULTS = Path(__file__).resolve().parent / "results"
PROBES = {1: 12, 2: 5, 3: 5}  # of one client alone, each round
GOAL = 0.20


def simulate_again(out: Path) -> list[Compared]:
    """The loads of the run that wrote both files into `out`, with what it measured, simulated anew."""
    document = json.loads((out / "validation.json").read_text())
    measured = replace(read_service_times(out / "service_times.json"), thrift=1.0, crowding=1.0)
    times = fitted(measured, Full(**document["full"]))
    times.write(out / "service_times.json")
    compared = [predict_again(told, times) for told in document["loads"]]
    write(out, document, compared)
    return compared


def write(out: Path, facts: Mapping[str, Any], compared: Sequence[Compared]) -> None:
    """The file of the comparison, whatever loads `facts` told of replaced by `compared`."""
    loads = [{**asdict(one), "errors": one.errors} for one in compared]
    (out / "validation.json").write_text(json.dumps({**facts, "loads": loads}, indent=1) + "\n")


@dataclass(frozen=True, slots=True)
class Measured:
    """What the service showed: one client's visits, the legs of each load by name, all gauges in order."""

    times: ServiceTimes
    legs: Mapping[str, Sequence[Leg]]
    gauged: Sequence[float]


def measure(seconds: float, rounds: int, seed: int, facts: Mapping[str, Any], say: Say) -> Measured:
    """Drive a service of its own: in each round one client alone, then all loads, gauges between them."""
    alone: list[Alone] = []
    usual: list[int] = []  # places of the gauges between which one client was measured
    legs: defaultdict[str, list[tuple[Load, LoadSeen, int]]] = defaultdict(list)  # and the gauge before it
    with running_service({}) as service:
        say("the service is ready")
        gauge = Gauge(service)
        gauged = [gauge.seconds()]

        def pace() -> float:
            return statistics.fmean(gauged[-3:]) / statistics.fmean(gauged[place] for place in usual)

        def most() -> float:
            return capacity(service_times(together(alone), 1.0, facts).at_pace(pace()), 1)

        for number in range(rounds):
            alone.append(one_round(service, PROBES, say))
            gauged.append(gauge.seconds())
            usual += [len(gauged) - 2, len(gauged) - 1]
            rng = random.Random(f"{seed}, round {number}")
            for load in itertools.chain([full_load(seconds)], loads_for(most, seconds, rng)):
                seen = Driver(service, load, SIDE).run()
                legs[load.name].append((load, seen, len(gauged) - 1))
                gauged.append(gauge.seconds())
                say(f"{load.name}; pace {pace():.2f}")
    smooth = smoothed(gauged)
    middle = statistics.fmean(smooth[place] for place in usual)
    paced = {
        name: [
            Leg(load, seen, statistics.fmean(smooth[place : place + 2]) / middle)
            for load, seen, place in many
        ]
        for name, many in legs.items()
    }
    return Measured(service_times(together(alone), 1.0, facts), paced, gauged)


def smoothed(gauged: Sequence[float]) -> list[float]:
    """Each with its neighbours' mean: a few jobs vary by 4 %, more than a quiet machine in three minutes."""
    return [statistics.fmean(gauged[max(place - 1, 0) : place + 2]) for place in range(len(gauged))]


def run(seconds: float, rounds: int, out: Path, seed: int, say: Say) -> list[Compared]:
    """Everything; writes both files into `out`."""
    facts = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **describe_machine()}
    measured = measure(seconds, rounds, seed, facts, say)
    calibrating = full_load(seconds).name
    full = seen_full(measured.legs[calibrating], measured.times)
    times = fitted(measured.times, full)
    say(
        f"{full.visits} visits on the full machine: a network costs {times.thrift:.2f} where threads wait, "
        f"other work {times.crowding:.2f} beside others"
    )
    times.write(out / "service_times.json")
    compared = [compare(legs, times) for name, legs in measured.legs.items() if name != calibrating]
    told = {
        "seconds of a load": seconds,
        "rounds": rounds,
        "replications": REPLICATIONS,
        "full": asdict(full),
        "gauged, s": measured.gauged,
    }
    write(out, {**facts, **told}, compared)
    return compared


def main() -> None:
    """Print the table; exit code 1 when throughput or p95 of a load is off by more than the goal."""
    parser = argparse.ArgumentParser(prog="python -m capacity.validate", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each load of users, a round")
    parser.add_argument("--rounds", type=int, default=3, help="of all loads")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the two files")
    parser.add_argument("--seed", type=int, default=1, help="of the arrivals")
    parser.add_argument(
        "--again", action="store_true", help="measure nothing: the last run's loads, simulated anew"
    )
    options = parser.parse_args()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {line}", flush=True)

    if options.again:
        compared = simulate_again(options.out)
    else:
        compared = run(options.seconds, options.rounds, options.out, options.seed, say)
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
