"""The simulation against the service, both on this machine, in one run.

    python -m capacity.validate [--seconds S] [--out FOLDER] [--again]

Measures service times with one client, loads the service in several ways, simulates the same loads with
those times, and compares. Writes `service_times.json` and `validation.json`; `python -m capacity.report`
makes the document's tables and pictures of them. 9 minutes with the usual `--seconds`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from capacity.comparison import REPLICATIONS, Compared, compare, loads_for, predict_again, table
from capacity.crowding import in_a_process_of_its_own, measure_crowding, measure_thrift
from capacity.jobs import Visit
from capacity.loads import Driver
from capacity.one_client import (
    STAGES,
    OneClient,
    cores_in_use,
    mean_parts,
    synced_write_s,
    visits_of,
)
from capacity.service_times import ServiceTimes, read_service_times
from capacity.visitor import fresh_seed, new_pictures
from trials.service import CACHE, Service, running_service

RESULTS = Path(__file__).resolve().parent / "results"
SIDE = 1024
PROBES = {1: 16, 3: 12}
FORGOTTEN, POLLED = 6, 60
GOAL = 0.20
Say = Callable[[str], None]


def measure_service_times(
    service: Service,
    probes: Mapping[int, int],
    crowding: float,
    thrift: float,
    facts: Mapping[str, Any],
    say: Say,
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
        thrift=thrift,
    )


def simulate_again(out: Path, seed: int) -> list[Compared]:
    """The loads of the run that wrote both files into `out`, with what it measured, simulated anew."""
    times = read_service_times(out / "service_times.json")
    document = json.loads((out / "validation.json").read_text())
    loads = loads_for(times, document["seconds of a load"], random.Random(seed))
    compared = [predict_again(told, times, load) for told, load in zip(document["loads"], loads, strict=True)]
    write(out, document, compared)
    return compared


def write(out: Path, facts: Mapping[str, Any], compared: Sequence[Compared]) -> None:
    """The file of the comparison, whatever loads `facts` told of replaced by `compared`."""
    loads = [{**asdict(one), "errors": one.errors} for one in compared]
    (out / "validation.json").write_text(json.dumps({**facts, "loads": loads}, indent=1) + "\n")


def run(seconds: float, out: Path, seed: int, say: Say) -> list[Compared]:
    """Everything; writes both files into `out`."""
    facts = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **describe_machine()}
    crowding = measure_crowding()
    say(f"crowding: a core-second of one thread costs {crowding:.2f} beside others")
    bundled = {"CHECKPOINT_DOWNLOAD": "false", "CACHE_DIR": str(CACHE)}
    thrift = in_a_process_of_its_own(measure_thrift, bundled)
    say(f"thrift: a core-second of a network costs {thrift:.2f} when it gets one core alone")
    compared: list[Compared] = []
    with running_service({}) as service:
        say("the service is ready")
        times = measure_service_times(service, PROBES, crowding, thrift, facts, say)
        times.write(out / "service_times.json")
        for load in loads_for(times, seconds, random.Random(seed)):
            seen = Driver(service, load, SIDE).run()
            compared.append(compare(load, seen, times))
            say(table(compared[-1:]).splitlines()[1])
    write(out, {**facts, "seconds of a load": seconds, "replications": REPLICATIONS}, compared)
    return compared


def main() -> None:
    """Print the table; exit code 1 when throughput or p95 of a load is off by more than the goal."""
    parser = argparse.ArgumentParser(prog="python -m capacity.validate", description=__doc__)
    parser.add_argument("--seconds", type=float, default=50.0, help="of each of the eight loads")
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
        compared = simulate_again(options.out, options.seed)
    else:
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
