"""The locustfile: a day of the personas, written down request by request.

Owns Locust's side of a run: its options, the shape, and the files `requests*.csv` and `users.csv` in the
folder `--records`. `python -m load_tests` starts it with a service of its own; by hand, and with workers on
other machines, as in docs/load.md.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from locust import LoadTestShape, User, events, runners
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from load_tests.day import DAY, FULL_DAY_S, Persona, crowd_at, next_change, phase_at
from load_tests.personas import (  # Locust takes the personas from this module
    OF,
    BatchImport,
    Canceller,
    ExtractOnly,
    FirstTap,
    RetapAndPreview,
    SlowPoller,
    ThreeObjects,
)
from load_tests.pictures import draw_ahead
from load_tests.records import LEAVING, RowWriter, row_of

__all__ = [
    "BatchImport",
    "Canceller",
    "Day",
    "ExtractOnly",
    "FirstTap",
    "RetapAndPreview",
    "SlowPoller",
    "ThreeObjects",
]


_PRESENT = ("spawning", "running", "stopping")  # states of a runner that has users
# Locust gives a worker up after 3 s of silence; beside a busy service that is no sign of death.
runners.HEARTBEAT_LIVENESS = 20
# Before a worker tells its master that it is there: drawing leaves no time for heartbeats.
if "--master" not in sys.argv:
    draw_ahead()


class Day(LoadTestShape):
    """The day of `day.py`, in `--day-s` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.present: tuple[Persona, ...] = ()

    def tick(self) -> tuple[int, float, list[type[User]] | None] | None:
        """The next step towards who should be there now; None when the day is over."""
        assert self.runner is not None
        options = self.runner.environment.parsed_options
        at = self.get_run_time() / (options.day_s if options is not None else FULL_DAY_S)
        if at >= 1:
            return None
        change = next_change(self.present, crowd_at(at))
        if change is not None:
            newcomers = (change.newcomer,) * (change.count - len(self.present)) if change.newcomer else ()
            self.present = (*self.present[: change.count], *newcomers)
        # Locust compares a tick with the last one: the same crowd gives the same tuple.
        last = self.present[-1] if self.present else Persona.FIRST_TAP
        return len(self.present), 100.0, [OF[last]]


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """The day's length and the folder of the records."""
    parser.add_argument("--day-s", type=float, default=FULL_DAY_S, help="length of the day, seconds")
    parser.add_argument("--records", default="", help="folder of requests*.csv and users.csv; none: no files")


@events.init.add_listener
def begin(environment: Environment, **_: Any) -> None:
    """Open the files."""
    folder = environment.parsed_options.records if environment.parsed_options is not None else ""
    if not folder:
        return
    if not isinstance(environment.runner, MasterRunner):
        _write_rows(environment, Path(folder))
    if not isinstance(environment.runner, WorkerRunner):
        _write_crowds(environment, Path(folder))


def _write_rows(environment: Environment, folder: Path) -> None:
    worker = isinstance(environment.runner, WorkerRunner)
    writer = RowWriter(folder / (f"requests-{os.getpid()}.csv" if worker else "requests.csv"))

    environment.events.request.add_listener(lambda **told: writer.write(row_of(**told)))
    environment.events.quit.add_listener(lambda **_: writer.close())


def _write_crowds(environment: Environment, folder: Path) -> None:
    file = (folder / "users.csv").open("w", newline="", buffering=1)
    writer = csv.writer(file)
    writer.writerow(("at", "phase", *(one.value for one in Persona)))

    def watch() -> None:
        while True:
            runner, shape = environment.runner, environment.shape_class
            if runner is not None and isinstance(shape, Day) and runner.state in _PRESENT:
                options = environment.parsed_options
                length_s = options.day_s if options is not None else FULL_DAY_S
                counts = (
                    runner.reported_user_classes_count
                    if isinstance(runner, MasterRunner)
                    else runner.user_classes_count
                )
                at = shape.get_run_time() / length_s
                phase = DAY[phase_at(at)[0]].name if at < 1 else LEAVING
                present = (counts.get(OF[one].__name__, 0) for one in Persona)
                writer.writerow((f"{time.time():.3f}", phase, *present))
            gevent.sleep(1.0)

    watching = gevent.spawn(watch)

    def end(**_: Any) -> None:
        watching.kill()
        file.close()

    environment.events.quit.add_listener(end)
