"""The service against the brief's own architecture, in one run with one client: `make bench`.

    python -m benchmarks.side_by_side [--quick] [--only latency,preview,...] [--folder PHOTOS]

Starts the plain server and the service with the same full-size checkpoints, measures both, prints the
tables and writes them to `benchmarks/results/`. Takes about 25 minutes on two quiet cores, with
`--quick` 5. Exit code 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import growth, latency, overhead
from benchmarks.customer import JobSeen
from benchmarks.latency import Course, Photos
from benchmarks.machine import ROOT, describe_machine
from benchmarks.network_share import measure_networks
from benchmarks.report import Section, write_report
from benchmarks.rivals import Checkpoints, plain_server, service
from benchmarks.seeded_checkpoints import write_seeded_checkpoints

RESULTS = ROOT / "benchmarks" / "results"
SECTIONS = ("networks", "latency", "preview", "overhead", "throughput", "objects", "pixels", "users")
QUICK = ("networks", "latency", "preview", "overhead")
QUICK_COURSE = Course(
    plain_jobs=1, plain_jobs_of_three=1, our_jobs=3, user_side=512, user_rounds=3, previews=30
)
BEGAN = time.monotonic()


def say(text: str) -> None:
    """One line of progress."""
    print(f"[{time.monotonic() - BEGAN:6.0f} s] {text}", flush=True)


def made_up_checkpoints() -> Checkpoints:
    """Full-size files of the released layouts with made-up values; kept in the temporary folder."""
    folder = Path(tempfile.gettempdir()) / "tapcut-bench-checkpoints"
    found = Checkpoints(folder / "mobile_sam.pt", folder / "big-lama.pt")
    if not (found.mobile_sam.exists() and found.lama.exists()):
        say("writing full-size checkpoints with made-up values")
        with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
            for path in write_seeded_checkpoints(ROOT / "tests" / "golden", 0, Path(fresh), discs=True):
                folder.mkdir(exist_ok=True)
                path.rename(folder / path.name)
    return found


def measure(
    wanted: tuple[str, ...],
    course: Course,
    checkpoints: Checkpoints,
    options: argparse.Namespace,
    picture: Path,
) -> Iterator[Section]:
    """The sections asked for, in their order; `picture`: where the drawing of a job goes."""
    chosen = dict(one.split("=", 1) for one in options.set)
    if "networks" in wanted:
        say("networks against the machine's peak")
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            yield pool.submit(measure_networks, checkpoints, chosen).result()
    if set(wanted) == {"networks"}:
        return
    photos = Photos(course.side, options.folder)
    quick = bool(options.quick)
    with ExitStack() as stack:
        say("starting the service")
        ours = stack.enter_context(service(checkpoints, chosen))
        jobs: list[JobSeen] = []
        if {"latency", "preview", "throughput"} & set(wanted):
            say("starting the plain server")
            plain = stack.enter_context(plain_server(checkpoints))
            if "latency" in wanted:
                section, jobs = latency.measure_latency(plain, ours, course, photos, say)
                yield section
            if "preview" in wanted:
                yield latency.measure_preview(plain, ours, course, photos, say)
            if "throughput" in wanted:
                yield latency.measure_throughput(plain, ours, course, options.folder, say)
        if "overhead" in wanted:
            if not jobs:
                jobs = [latency.our_job(ours, photos) for _ in range(course.our_jobs)]
            section, middle = overhead.overhead_section(
                jobs, f"Where the time goes: one object of a {course.side}-px picture"
            )
            picture.write_text(overhead.draw(middle, "One job, tap to ready"))
            section.notes.append(f"One job as a picture: [{picture.name}]({picture.name})")
            yield section
        if "objects" in wanted:
            yield growth.measure_objects(ours, (1, 4) if quick else (1, 2, 4, 8, 16), 1 if quick else 2, say)
        if "pixels" in wanted:
            sides = (512, 2048) if quick else (512, 1024, 2048, 4096)
            yield growth.measure_pixels(ours, sides, 2 if quick else 3, say)
        if "users" in wanted:
            users = (1, 4) if quick else (1, 2, 4, 8, 16, 32)
            yield growth.measure_users(ours, users, 512, say)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write. Answers the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.side_by_side", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.description = __doc__
    parser.add_argument("--quick", action="store_true", help=f"fewer runs, and of {', '.join(QUICK)} only")
    parser.add_argument("--only", default="", help=f"sections, with commas between: {', '.join(SECTIONS)}")
    parser.add_argument(
        "--checkpoints", type=Path, help="folder with mobile_sam.pt and big-lama.pt of your own"
    )
    parser.add_argument("--folder", type=Path, help="photos to use; taps go where the drawn objects would be")
    parser.add_argument("--side", type=int, default=1024, help="longer side of the pictures, px")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="setting of the service"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the report")
    options = parser.parse_args(arguments)
    wanted = tuple(filter(None, options.only.split(","))) or (QUICK if options.quick else SECTIONS)
    if unknown := set(wanted) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    began = datetime.now(UTC)
    name = f"side_by_side-{began:%Y-%m-%d-%H%M}"
    facts: dict[str, Any] = {"date": f"{began:%Y-%m-%d %H:%M} UTC", **describe_machine()}
    facts["command"] = shlex.join(["python", "-m", "benchmarks.side_by_side", *(arguments or sys.argv[1:])])
    checkpoints = made_up_checkpoints()
    if options.checkpoints:
        checkpoints = Checkpoints(options.checkpoints / "mobile_sam.pt", options.checkpoints / "big-lama.pt")
    facts["checkpoints"] = f"of {options.checkpoints}" if options.checkpoints else "full size, made-up values"
    course = replace(QUICK_COURSE if options.quick else Course(), side=options.side)
    options.out.mkdir(parents=True, exist_ok=True)
    sections: list[Section] = []
    for section in measure(wanted, course, checkpoints, options, options.out / f"{name}.svg"):
        sections.append(section)
        print("\n" + "\n".join(section.lines()), flush=True)
        facts["seconds of the run"] = round(time.monotonic() - BEGAN)
        # After each section, so that a run that is broken off leaves what it had.
        path = write_report(options.out, name, "Side by side", facts, sections)
    say(f"written to {path}")
    missed = [str(goal) for section in sections for goal in section.goals if not goal.is_met]
    print("\n".join(missed) or "all goals met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
