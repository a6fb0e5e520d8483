"""`make chaos`: kills, stalls and fills while jobs run, and proves that no accepted job is lost.

    python -m trials.chaos [--jobs 200] [--faults JobRunner,Redis,...] [--seed 1] [--seconds 720]

Owns the order of events, the measurement of recovery and the verdict: exit code 1 when a promise of
`docs/reliability.md` is broken. Load, faults and audit have modules of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx
import redis
import yaml

from trials.chaos_audit import Findings, audit, ended_in_store, open_files
from trials.chaos_client import CallFailedError
from trials.chaos_faults import Fault, FaultFailedError, Scene, all_faults, quiet
from trials.chaos_load import Ledger, Load
from trials.service import ROOT, Service, running_service

CLIENTS = 6
LEASE_S = 3.0
STALE_S = 20.0
VOLUME_MB = 400
RECOVERY_S = 15.0
# The controller looks every second, waits two for an answer, believes three failures, and starts anew.
PROXY_RECOVERY_S = 3 * (1 + 2) + 6.0
NOT_BOUNDED = ("redeploy",)  # lasts as long as the stages take to start; no request may fail meanwhile


@dataclass
class Row:
    """What one kind of fault did, over all its injections."""

    injected: int = 0
    in_flight: int = 0
    failed: list[str] = field(default_factory=list)
    retried: int = 0
    lost: int = 0
    stuck: int = 0
    duplicates: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)


def say(line: str) -> None:
    """One line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the trial. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200, help="least number of accepted jobs (200)")
    parser.add_argument("--faults", default="", help="which, by name and comma; default: all")
    parser.add_argument("--rounds", type=int, default=2, help="injections of each fault that kills (2)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments and pictures (1)")
    parser.add_argument("--seconds", type=float, default=720, help="no further fault after these (720)")
    options = parser.parse_args(arguments)
    with _volume() as folder:
        config = _config(folder)
        settings = {
            "WORKERS": "2",
            "LEASE_S": f"{LEASE_S:g}",
            "STALE_S": f"{STALE_S:g}",
            "WORK_DIR": str(folder / "volume" / "jobs") if _mounted(folder) else str(folder / "jobs"),
        }
        say("starting the service: two replicas of the ingress and of the runner")
        with running_service(settings, config) as service:
            problems = asyncio.run(_trial(service, config, options))
    for problem in problems:
        print(f"BROKEN: {problem}")
    print("chaos: " + (f"{len(problems)} promises broken" if problems else "every promise kept"))
    return 1 if problems else 0


async def _trial(service: Service, config: Path, options: argparse.Namespace) -> list[str]:
    began = time.monotonic()
    store: redis.Redis = redis.Redis.from_url(service.redis_url, decode_responses=True)
    load = Load(service.url, CLIENTS, options.seed)
    scene = Scene(service, load, store, random.Random(options.seed), config, LEASE_S)
    faults = all_faults(service)
    wanted = [name.strip() for name in options.faults.split(",") if name.strip()] or list(faults)
    if unknown := set(wanted) - set(faults):
        raise SystemExit(f"unknown faults {sorted(unknown)}; there are: {', '.join(faults)}")
    files_before = open_files(service)
    rows = {name: Row() for name in wanted}
    load.start()
    baseline = await _timed_probe(load)
    say(f"a job under this load takes {baseline:.1f} s without a fault")
    for turn in range(options.rounds):
        order = list(wanted)
        scene.random.shuffle(order)
        for name in order:
            if turn and name in ("poison", "redeploy", "disk full", "Redis full", "cleanup", "stall"):
                continue
            if time.monotonic() - began > options.seconds:
                say(f"no time left for {name}")
                continue
            await _strike(name, faults[name], scene, rows[name])
    load.go_on()
    while len(load.ledger.jobs) < options.jobs and time.monotonic() - began < options.seconds + 120:
        await asyncio.sleep(0.2)
    await load.stop()
    say("load ended; waiting for the sweep of what faults left, then the audit")
    findings = await _swept_audit(service, load, store)
    _print_table(rows, baseline)
    return _verdict(scene, rows, findings, files_before, options, wanted)


async def _strike(name: str, fault: Fault, scene: Scene, row: Row) -> None:
    """Inject one fault under load, measure recovery, let all jobs end and count."""
    load, ledger, calls = scene.load, scene.load.ledger, scene.load.ledger.calls
    load.go_on()
    deadline = time.monotonic() + 20
    while len(ledger.in_flight) < CLIENTS // 2 and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    await asyncio.sleep(scene.random.uniform(0, 1.0))
    at_risk = list(ledger.in_flight)
    failed_before, retried_before = len(calls.failures), calls.retried
    ready_before = _ready(ledger)
    committed_before = ended_in_store(scene.store)
    deleted_before = _deleted(ledger)
    gap = asyncio.create_task(_longest_gap(scene.service.url))
    recovered = ""
    try:
        from_s = await fault(scene)
        probe = await load.one_job()
        if probe.ended and probe.ended["status"] == "ready":
            row.recoveries_s.append(time.monotonic() - from_s)
            recovered = f"recovered in {row.recoveries_s[-1]:.1f} s"
        else:
            row.failed.append(f"the job after {name} ended as {probe.ended}")
    except (FaultFailedError, CallFailedError) as error:
        row.failed.append(str(error))
    row.gaps_s.append(await _end(gap))
    await quiet(scene, 120)
    row.injected += 1
    row.in_flight += len(at_risk)
    row.retried += calls.retried - retried_before
    row.failed += calls.failures[failed_before:]
    row.stuck += sum(job.stuck for job in at_risk)
    row.lost += sum(not (job.ended or job.deleted or job.stuck) for job in at_risk)
    committed = ended_in_store(scene.store) - committed_before
    # Of a deleted job nobody can say whether it had been committed.
    unknown = _deleted(ledger) - deleted_before
    row.duplicates += max(0, committed - (_ready(ledger) - ready_before) - unknown)
    say(
        f"{name}: {len(at_risk)} jobs in flight, {recovered or 'NOT RECOVERED: ' + row.failed[-1]}, "
        f"longest time without an answer {row.gaps_s[-1]:.1f} s, {len(ledger.jobs)} jobs accepted so far"
    )


def _ready(ledger: Ledger) -> int:
    return sum(1 for job in ledger.jobs.values() if job.ended and job.ended["status"] == "ready")


def _deleted(ledger: Ledger) -> int:
    return sum(job.deleted for job in ledger.jobs.values())


async def _timed_probe(load: Load) -> float:
    await asyncio.sleep(3)
    started = time.monotonic()
    await load.one_job()
    return time.monotonic() - started


async def _longest_gap(url: str) -> float:
    """Until cancelled: the longest time in which no request was answered well, s."""
    longest, last_good = 0.0, time.monotonic()
    async with httpx.AsyncClient(
        base_url=url, timeout=2, limits=httpx.Limits(max_keepalive_connections=0)
    ) as http:
        try:
            while True:
                try:
                    good = (await http.get("/metrics")).is_success
                except httpx.TransportError:
                    good = False
                now = time.monotonic()
                if good:
                    longest, last_good = max(longest, now - last_good), now
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            return max(longest, time.monotonic() - last_good)


async def _end(gap: asyncio.Task[float]) -> float:
    gap.cancel()
    return await gap


async def _swept_audit(service: Service, load: Load, store: redis.Redis) -> Findings:
    deadline = time.monotonic() + 3 * STALE_S
    while True:
        findings = await audit(service, load.ledger, store)
        if not findings.left_over or time.monotonic() > deadline:
            return findings
        await asyncio.sleep(5)


def _print_table(rows: dict[str, Row], baseline: float) -> None:
    head = ("fault", "injected", "in flight", "failed", "retried", "lost", "stuck", "twice")
    print("\n| " + " | ".join((*head, "recovery p50", "max", "no answer, max")) + " |")
    print("|" + "---|" * (len(head) + 3))
    for name, row in rows.items():
        counts = (row.injected, row.in_flight, len(row.failed), row.retried, row.lost, row.stuck)
        p50 = f"{median(row.recoveries_s):.1f} s" if row.recoveries_s else "none"
        most = f"{max(row.recoveries_s):.1f} s" if row.recoveries_s else "none"
        gap = f"{max(row.gaps_s):.1f} s" if row.gaps_s else ""
        cells = (name, *map(str, counts), str(row.duplicates), p50, most, gap)
        print("| " + " | ".join(cells) + " |")
    print(
        "\nrecovery: from the fault to the end of a job that is sent after it; "
        f"without a fault {baseline:.1f} s"
    )


def _verdict(
    scene: Scene,
    rows: dict[str, Row],
    findings: Findings,
    files_before: dict[str, int],
    options: argparse.Namespace,
    wanted: list[str],
) -> list[str]:
    ledger = scene.load.ledger
    calls, accepted = ledger.calls, len(ledger.jobs)
    print(
        f"{accepted} jobs accepted: {findings.ready} ready, {findings.errors} error, "
        f"{_deleted(ledger)} deleted; {findings.files_checked} downloads checked; "
        f"{calls.sent} calls, {calls.retried} sent again, {len(calls.failures)} failed; "
        f"slowest refusal {calls.slowest_refusal_s:.1f} s; "
        f"{findings.unanswered_uploads} uploads were recorded whose answer was lost"
    )
    for what, count in sorted(calls.refusals.items(), key=lambda item: -item[1]):
        print(f"  sent again {count} times after: {what}")
    problems = [*ledger.wrong_answers, *findings.all]
    for name, row in rows.items():
        problems += [f"{name}: {failure}" for failure in row.failed]
        limit = PROXY_RECOVERY_S if name == "proxy" else RECOVERY_S
        if name not in NOT_BOUNDED and row.recoveries_s and max(row.recoveries_s) > limit:
            problems.append(f"{name}: recovery took {max(row.recoveries_s):.1f} s, more than {limit:g} s")
        if not row.injected:
            problems.append(f"{name}: not injected, no time was left")
        for what, count in (("lost", row.lost), ("stuck", row.stuck), ("committed twice", row.duplicates)):
            if count:
                problems.append(f"{name}: {count} jobs {what}")
    expected_errors = 1 if "poison" in wanted else 0
    if findings.errors > expected_errors:
        errors = {job.ended["error"] for job in ledger.jobs.values() if job.ended and job.ended["error"]}
        problems.append(f"{findings.errors} jobs ended as error, {expected_errors} expected: {errors}")
    if accepted < options.jobs:
        problems.append(f"only {accepted} of {options.jobs} jobs were accepted")
    files_now = open_files(scene.service)
    grown = {
        name: (files_before[name], count)
        for name, count in files_now.items()
        if name in files_before and count > 2 * files_before[name] + 50
    }
    if grown:
        problems.append(f"open files have grown: {grown}")
    return problems


def _config(folder: Path) -> Path:
    """The config of `make serve` with a second runner."""
    config = yaml.safe_load((ROOT / "serve_config.local.yaml").read_text())
    for deployment in config["applications"][0]["deployments"]:
        if deployment["name"] == "JobRunner":
            deployment["num_replicas"] = 2
    path = folder / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@contextmanager
def _volume() -> Iterator[Path]:
    """A folder with a small volume mounted in it where that is allowed, so that it can be filled."""
    folder = Path(tempfile.mkdtemp(prefix="tapcut-chaos-"))
    volume = folder / "volume"
    volume.mkdir()
    try:
        if shutil.which("mount"):
            command = ["mount", "-t", "tmpfs", "-o", f"size={VOLUME_MB}m", "tapcut-chaos", str(volume)]
            subprocess.run(command, check=False, capture_output=True)
        yield folder
    finally:
        if _mounted(folder):
            subprocess.run(["umount", str(volume)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def _mounted(folder: Path) -> bool:
    return (folder / "volume").is_mount()


if __name__ == "__main__":
    sys.exit(main())
