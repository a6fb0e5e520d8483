"""`python -m trials.soak`: half an hour of mixed visits, and whether anything grows.

Owns the run, its promises and its table. The service is measured first as hard as it goes, then held at
60 % of that. Every 10 s each process is sampled; what counts begins after a sixth of the time (minute 5 of
30). Exit code 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trials.course import Course
from trials.load import SteadyLoad, measure_rate
from trials.processes import MIB, redis_of, samples, stores
from trials.service import Service, running_service
from trials.visits import Tally, Visitor

SAMPLE_S = 10.0
SHARE_OF_CAPACITY = 0.6
MEASURED_WITH = 8  # clients, enough to keep every stage busy

STORE_MIB = 512.0  # Ray's object store (launch/ray_service.py): bounded by its size, so not by growth

# unit: (largest growth from the window's start to its end as a fraction, or else as an amount)
PROMISES = {
    "resident MiB": (
        0.03,
        2.0,
    ),  # without the object store's pages; 2 MiB: 3 % of the smallest processes is less than one arena's page
    "descriptors": (0.05, 5.0),
    "threads": (0.05, 4.0),
    "Redis keys": (0.10, 20.0),
    "Redis MiB": (0.10, 1.0),
    "files": (0.10, 40.0),
    "files MiB": (0.10, 20.0),
}


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run. `start_s`: where its window begins, seconds after the beginning."""

    course: Course
    tally: Tally
    start_s: float
    capacity: float
    rate: float
    late: int


class Sampler:
    """Samples `service` every `SAMPLE_S` in a thread of its own, while the context lasts."""

    def __init__(self, service: Service, course: Course, every_s: float = SAMPLE_S) -> None:
        self._service, self._course, self._every_s = service, course, every_s
        self._redis = redis_of(service)
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._redis.close()
        if self._failure is not None:
            raise RuntimeError("the sampling ended before the run") from self._failure

    def _run(self) -> None:
        try:
            while True:
                self.sample()
                if self._stop.wait(self._every_s):
                    return
        except Exception as error:
            self._failure = error

    def sample(self) -> None:
        """Take one sample of everything."""
        at = time.monotonic() - self._started
        for one in samples(self._service):
            name = f"{one.role} {one.pid}"
            self._course.add("resident MiB", name, at, one.resident / MIB)
            self._course.add("store MiB", name, at, one.store / MIB)
            self._course.add("private MiB", name, at, one.private / MIB)
            self._course.add("descriptors", name, at, one.descriptors)
            self._course.add("threads", name, at, one.threads)
        kept = stores(self._service, self._redis)
        self._course.add("Redis keys", "all", at, kept.redis_keys)
        self._course.add("Redis MiB", "used memory", at, kept.redis_bytes / MIB)
        self._course.add("files", "all", at, kept.files)
        self._course.add("files MiB", "all", at, kept.file_bytes / MIB)
        self._course.add("logs MiB", "all", at, kept.log_bytes / MIB)


def soak(service: Service, *, seconds: float, seed: int) -> Run:
    """Measure the service, then hold it at a part of its capacity until `seconds` are over."""
    course, tally, seeds = Course(), Tally(), itertools.count(seed)
    visitor = Visitor(service.url, tally)
    try:
        with Sampler(service, course):
            measuring = min(60.0, seconds / 10)
            capacity = measure_rate(visitor, clients=MEASURED_WITH, seconds=measuring, seeds=seeds)
            rate = SHARE_OF_CAPACITY * capacity
            print(
                f"{capacity:.2f} visits a second at most; held at {rate:.2f} for {seconds:.0f} s", flush=True
            )
            with SteadyLoad(visitor, rate=rate, clients=64, seeds=seeds) as load:
                time.sleep(max(0.0, seconds - measuring))
    finally:
        visitor.close()
    return Run(course, tally, seconds / 6, capacity, rate, load.late)


def broken_promises(run: Run) -> Iterator[str]:
    """What was promised and did not hold, one line each."""
    for (unit, name), points in sorted(run.course.series.items()):
        if unit not in PROMISES:
            continue
        growth = run.course.growth(unit, name, run.start_s)
        if growth is None:
            if unit == "resident MiB":
                yield f"{name} did not live through the run ({points[0][0]:.0f} s to {points[-1][0]:.0f} s)"
        elif not growth.flat(*PROMISES[unit]):
            yield (
                f"{name}: {unit} grew from {growth.level:.1f} by {growth.change:.1f}"
                f" ({100 * growth.share:.1f} %)"
            )
    for (unit, name), points in sorted(run.course.series.items()):
        if unit == "store MiB" and (most := max(value for _, value in points)) > STORE_MIB:
            yield f"{name}: {most:.0f} MiB of the object store, which has {STORE_MIB:g}"
    for fault in run.tally.faults[:20]:
        yield f"a visit went wrong: {fault}"
    if len(run.tally.faults) > 20:
        yield f"... and {len(run.tally.faults) - 20} more visits went wrong"


def table(run: Run) -> Iterator[str]:
    """The run as lines of text."""
    heads = ("MiB", "growth", "store", "private", "growth", "fds", "growth", "threads")
    yield f"{'process':28}" + "".join(f"{head:>9}" for head in heads)
    for unit, name in sorted(run.course.series):
        if unit != "resident MiB":
            continue
        kinds = ("resident MiB", "private MiB", "descriptors", "threads")
        found = [run.course.growth(kind, name, run.start_s) for kind in kinds]
        resident, private, descriptors, threads = found
        if resident is None or private is None or descriptors is None or threads is None:
            yield f"{name:28}  not there for the whole window"
            continue
        yield (
            f"{name:28}{resident.level:9.1f}{100 * resident.share:8.1f}%"
            f"{max(value for _, value in run.course.series['store MiB', name]):9.1f}{private.level:9.1f}"
            f"{100 * private.share:8.1f}%{descriptors.level:9.0f}{descriptors.change:+9.1f}"
            f"{threads.level:9.0f}"
        )
    for unit, name in run.course.series:
        if name not in ("all", "used memory"):
            continue
        growth = run.course.growth(unit, name, run.start_s)
        if growth is not None:
            yield f"{unit:28}{growth.level:8.1f}{100 * growth.share:8.1f}%"
    yield ""
    for kind, count in sorted(run.tally.visits.items()):
        yield f"{kind:28}{count:8}"
    yield ", ".join(f"{name}: {count}" for name, count in sorted(run.tally.calls.items()))
    yield f"{run.late} visits did not begin because all clients were busy"


def main(arguments: list[str] | None = None) -> int:
    """Run the trial. Answers the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m trials.soak", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=1800, help="length (default 1800)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/soak"), help="folder of soak.csv and soak.svg")
    options = parser.parse_args(arguments)
    ttl_s = min(120.0, max(10.0, options.seconds / 15))
    settings = {"JOB_TTL_S": f"{ttl_s:g}", "EMBEDDING_TTL_S": f"{ttl_s:g}"}
    with running_service(settings) as service:
        run = soak(service, seconds=options.seconds, seed=options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    run.course.write_csv(options.out / "soak.csv")
    run.course.write_svg(options.out / "soak.svg", "resident MiB", "Resident memory, MiB", run.start_s)
    print("\n".join(table(run)))
    broken = list(broken_promises(run))
    print("\nall promises kept" if not broken else "\nBROKEN:\n" + "\n".join(broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
