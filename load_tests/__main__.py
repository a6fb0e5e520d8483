"""`make load`: a day of users against a service of its own, judged and drawn.

Owns the order of a run: the service, Locust and the sampler beside it, the waiting for the replicas to go
back, the verdict and the report. Exit code 1 when a limit is broken.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil

from load_tests.configuration import SETTINGS, write_config
from load_tests.day import FULL_DAY_S, QUICK_DAY_S
from load_tests.limits import judge
from load_tests.report import write_report
from load_tests.run import read_run
from trials.service import ROOT, Service, running_service

REPORTS = Path(__file__).with_name("reports")
FINISH_S = 90  # longest that users who leave may take to finish what they do
TOO_LONG_S = 120.0  # beyond the day and the finish


def serve_and_load(folder: Path, day_s: float, *, workers: int = 0) -> None:
    """One day against a new service; its records are in `folder` afterwards."""
    config = folder / "serve_config.yaml"
    write_config(config)
    with running_service(SETTINGS, config) as service:
        say(f"the service answers on {service.url}; a day of {day_s:.0f} s begins")
        load_on(service, folder, day_s, workers=workers)


def load_on(service: Service, folder: Path, day_s: float, *, workers: int = 0) -> None:
    """One day against a running service, watched, until its replicas are back at their least.

    Raises:
        RuntimeError: Locust or the sampler did not do what it should.
    """
    log_path = folder / "sampler.log"
    with locust(service.url, folder, day_s, workers=workers) as load, log_path.open("w") as log:
        sampler = subprocess.Popen(
            [
                *(sys.executable, "-m", "load_tests.sampler", "--url", service.url),
                *("--out", str(folder / "samples.json")),
                *("--service-pid", str(service.process.pid)),
                *("--load-pid", *(str(one.pid) for one in load)),
            ],
            cwd=ROOT,
            env={**os.environ, **service.cluster_environment},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert sampler.stdin is not None
        try:
            # A master ends before its workers have finished their visits.
            ended = {one.wait(day_s + FINISH_S + TOO_LONG_S) for one in load}
            if ended - {0, 1}:  # 1: some requests failed, which the limits judge
                raise RuntimeError(f"Locust ended with {ended}: see {folder / 'locust.log'}")
            say("the day is over; waiting for the replicas to go back")
            sampler.stdin.write("settle\n")
            sampler.stdin.flush()
            sampler.wait(TOO_LONG_S)
        finally:
            sampler.stdin.close()
            try:
                sampler.wait(30)
            except subprocess.TimeoutExpired:
                sampler.kill()
    if sampler.returncode != 0:
        raise RuntimeError(f"the sampler ended with {sampler.returncode}: {log_path.read_text()}")


@contextmanager
def locust(
    url: str, folder: Path, day_s: float, *, workers: int = 0
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Locust without its page, alone or as a master of `workers` on this machine; ended with the context."""
    base = [
        *(sys.executable, "-m", "locust", "--locustfile", "load_tests/locustfile.py"),
        *("--headless", "--only-summary"),
        *("--host", url, "--day-s", f"{day_s:g}", "--records", str(folder)),
        *("--stop-timeout", str(FINISH_S)),
    ]
    master = [
        *base,
        *("--csv", str(folder / "locust"), "--csv-full-history", "--html", str(folder / "locust.html")),
        *(
            ("--master", "--master-bind-host", "127.0.0.1", "--expect-workers", str(workers))
            if workers
            else ()
        ),
    ]
    worker = [*base, "--worker", "--master-host", "127.0.0.1"]
    with (folder / "locust.log").open("w") as log:
        started = [
            subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
            for command in (master, *workers * (worker,))
        ]
        try:
            yield started
        finally:
            for one in started:
                if one.poll() is None:
                    one.send_signal(signal.SIGTERM)
            for process in psutil.wait_procs(
                [psutil.Process(one.pid) for one in started if one.poll() is None], 20
            )[1]:
                process.kill()


def say(text: str) -> None:
    """One line on what happens."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the load test. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="make load", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help=f"a day of {QUICK_DAY_S:g} s, not {FULL_DAY_S:g}"
    )
    parser.add_argument("--workers", type=int, default=0, help="Locust processes that make the load; 0: one")
    parser.add_argument("--out", type=Path, help="the report's folder; without it a new one by date and time")
    options = parser.parse_args(arguments)
    folder = (options.out or REPORTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    serve_and_load(folder, QUICK_DAY_S if options.quick else FULL_DAY_S, workers=options.workers)
    recorded = read_run(folder)
    verdicts = judge(recorded, whole_day=not options.quick)
    write_report(recorded, verdicts, folder, command="make load" + (" QUICK=1" if options.quick else ""))
    for verdict in verdicts:
        print(verdict.text)
    stolen = [one.cpu.get("stolen", 0.0) for one in recorded.taken.samples]
    mean, most = sum(stolen) / len(stolen), max(stolen)
    print(f"noted: of this machine's cores the host gave {mean:.2f} to others on average, {most:.2f} at most")
    broken = sum(not verdict.kept for verdict in verdicts)
    say(f"{time.monotonic() - began:.0f} s; report: {folder / 'index.html'}")
    print("all limits kept" if not broken else f"{broken} of {len(verdicts)} limits BROKEN")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
