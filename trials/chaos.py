"""`make chaos`: kills, stalls and fills while jobs run, and proves that no accepted job is lost.

    python -m trials.chaos [--jobs 200] [--faults JobRunner,Redis,...] [--seed 1] [--cluster [--s3]]

Owns the order of events: first one machine and every fault on it, then a cluster of three nodes that
loses one, gets another and loses one again. Exit code 1 when a promise of `docs/reliability.md` is
broken. Load, faults, measurement, audit and verdict have modules of their own.
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
from pathlib import Path

import redis
import yaml

from trials.chaos_audit import Findings, audit, open_files
from trials.chaos_cluster import (
    Served,
    kill_node,
    placed_replicas,
    running_cluster,
    settle,
    spread_problems,
    spread_table,
)
from trials.chaos_faults import LASTING, all_faults
from trials.chaos_load import Load
from trials.chaos_scene import Fault, Scene
from trials.chaos_strike import Row, strike
from trials.chaos_verdict import broken_promises, grown_files, print_table, print_totals
from trials.service import ROOT, Service, running_service

CLIENTS = 6
LEASE_S = 3.0
STALE_S = 20.0
VOLUME_MB, RESERVE_MB = 400, 40
NODE = "node"
CLUSTER_JOBS = 30
LATE_S = 120.0  # for the load to reach its number after the last fault
SETTINGS = {"LEASE_S": f"{LEASE_S:g}", "STALE_S": f"{STALE_S:g}", "MIN_FREE_MB": f"{RESERVE_MB}"}


def say(line: str) -> None:
    """One line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the trial. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="make chaos", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200, help="least number of accepted jobs (200)")
    parser.add_argument("--faults", default="", help=f"which, by name and comma; {NODE}: the cluster's")
    parser.add_argument("--rounds", type=int, default=2, help="injections of each fault that kills (2)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments and pictures (1)")
    parser.add_argument("--seconds", type=float, default=480, help="no further fault after these (480)")
    parser.add_argument("--cluster", action="store_true", help="only the cluster's part")
    parser.add_argument("--s3", action="store_true", help="the cluster's artifacts in a bucket (needs root)")
    options = parser.parse_args(arguments)
    wanted = [name.strip() for name in options.faults.split(",") if name.strip()]
    problems = []
    if not options.cluster and wanted != [NODE]:
        problems += _on_one_machine(options, [name for name in wanted if name != NODE])
    if options.cluster or not wanted or NODE in wanted:
        problems += _on_a_cluster(options)
    for problem in problems:
        print(f"BROKEN: {problem}")
    print("chaos: " + (f"{len(problems)} promises broken" if problems else "every promise kept"))
    return 1 if problems else 0


def _on_one_machine(options: argparse.Namespace, wanted: list[str]) -> list[str]:
    with _folder() as folder:
        volume = folder / "volume"
        settings = {"WORKERS": "2", "WORK_DIR": str(volume / "jobs"), **SETTINGS}
        config = _config(folder)
        say("starting the service: two replicas of the ingress and of the runner")
        with running_service(settings, config) as service:
            faults = all_faults(service)
            if unknown := set(wanted) - set(faults):
                raise SystemExit(f"unknown faults {sorted(unknown)}; there are: {', '.join(faults)}, {NODE}")
            if not volume.is_mount() and not wanted:
                say("no volume could be mounted (that needs root): the disk is not filled")
                del faults["disk full"]
            chosen = {name: faults[name] for name in wanted or faults}
            plan = _plan(chosen, options.rounds, random.Random(options.seed))
            return asyncio.run(_trial(service, config, chosen, plan, options, options.jobs))


def _on_a_cluster(options: argparse.Namespace) -> list[str]:
    with _folder() as folder:
        say("starting a cluster: a head and two nodes, the production config on them")
        where = "in a bucket, no folder is shared" if options.s3 else "in a folder that the nodes share"
        say(f"artifacts are {where}")
        with running_cluster(folder, SETTINGS, in_bucket=options.s3) as served:
            problems = _spread(served, after_a_loss=False)
            plan, jobs = [NODE] * options.rounds, min(options.jobs, CLUSTER_JOBS)
            config, faults = folder / "serve_config.yaml", {NODE: kill_node(served)}
            problems += asyncio.run(
                _trial(served.service, config, faults, plan, options, jobs, served.shared)
            )
            settle(served.cluster)
            if options.s3:
                kept = served.artifacts_on_nodes()
                print(f"artifacts in the nodes' own WORK_DIRs: {kept}")
                problems += [f"{kept} artifacts are kept on nodes"] if kept else []
            return problems + _spread(served, after_a_loss=True)


def _spread(served: Served, *, after_a_loss: bool) -> list[str]:
    """Print what is where; what breaks the config's rules."""
    print(f"\n{spread_table(served.cluster)}\n", flush=True)
    return spread_problems(served.config, placed_replicas(served.cluster), after_a_loss=after_a_loss)


def _plan(faults: dict[str, Fault], rounds: int, order: random.Random) -> list[str]:
    """Every fault once in random order, then again those that only kill."""
    plan = []
    for turn in range(rounds):
        names = [name for name in faults if not turn or name not in LASTING]
        order.shuffle(names)
        plan += names
    return plan


async def _trial(
    service: Service,
    config: Path,
    faults: dict[str, Fault],
    plan: list[str],
    options: argparse.Namespace,
    jobs: int,
    shared: bool = True,
) -> list[str]:
    store: redis.Redis = redis.Redis.from_url(service.redis_url, decode_responses=True)
    load = Load(service.url, CLIENTS, options.seed)
    scene = Scene(service, load, store, random.Random(options.seed), config, LEASE_S)
    rows = {name: Row() for name in faults}
    files_before = open_files(service)
    load.start()
    baseline_s = await _seconds_of_a_job(load)
    say(f"a job under this load takes {baseline_s:.1f} s without a fault")
    began = time.monotonic()
    for name in plan:
        if time.monotonic() - began > options.seconds:
            say(f"no time left for {name}")
        else:
            await strike(name, faults[name], scene, rows[name], say)
    load.go_on()
    last = time.monotonic() + LATE_S
    while len(load.ledger.jobs) < jobs and time.monotonic() < last:
        await asyncio.sleep(0.2)
    await load.stop()
    say("the load has ended; waiting for the sweep of what faults left behind, then the audit")
    findings = await _swept_audit(service, load, store, shared)
    print_table(rows, baseline_s)
    print_totals(load.ledger, findings)
    return [
        *broken_promises(rows, load.ledger, findings, jobs),
        *grown_files(files_before, open_files(service)),
    ]


async def _seconds_of_a_job(load: Load) -> float:
    await asyncio.sleep(3)
    started = time.monotonic()
    await load.one_job()
    return time.monotonic() - started


async def _swept_audit(service: Service, load: Load, store: redis.Redis, shared: bool) -> Findings:
    deadline = time.monotonic() + 3 * STALE_S
    while True:
        findings = await audit(service, load.ledger, store, shared=shared)
        if not findings.left_over or time.monotonic() > deadline:
            return findings
        await asyncio.sleep(5)


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
def _folder() -> Iterator[Path]:
    """A folder; in it, where that is allowed, a small volume in memory that can be filled."""
    folder = Path(tempfile.mkdtemp(prefix="tapcut-chaos-"))
    volume = folder / "volume"
    volume.mkdir()
    try:
        if shutil.which("mount"):
            command = ["mount", "-t", "tmpfs", "-o", f"size={VOLUME_MB}m", "tapcut-chaos", str(volume)]
            subprocess.run(command, check=False, capture_output=True)
        yield folder
    finally:
        if volume.is_mount():
            subprocess.run(["umount", str(volume)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
