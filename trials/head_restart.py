"""`python -m trials.head_restart`: the head of a cluster dies, then all of Ray; GCS has its tables in Redis.

    python -m trials.head_restart [--clients 4] [--figures FILE]

Owns the order of events: the head is killed under load, then GCS alone, and at last every Ray process of
every node. What ends is started again, as a supervisor would; nothing is deployed a second time. Exit
code 1 when a job is lost, a call fails, or the application does not come back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import redis

from trials.chaos_audit import audit
from trials.chaos_cluster import DEPLOY_S, Served, running_cluster
from trials.chaos_load import Load
from trials.chaos_scene import Fault, FaultFailedError, Scene
from trials.chaos_strike import Row, strike
from trials.chaos_verdict import broken_promises, print_table, print_totals
from trials.cluster import ClusterError
from trials.service import wait_for_health

LEASE_S = 3.0
RECOVERY_S = {"head": 90.0, "GCS": 90.0, "all of Ray": 180.0}
HEAD, GCS, ALL_OF_RAY = RECOVERY_S
WARM_S = 20.0  # of load first, so that processes know each other as in a service that has run for a while
NOTICED_S = 60.0  # by `ray start --block`, that a process of its own has died


def say(line: str) -> None:
    """One line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the trial. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trials.head_restart", description=(__doc__ or ""))
    parser.add_argument("--clients", type=int, default=4, help="clients that keep jobs in flight (4)")
    parser.add_argument("--seed", type=int, default=1, help="of the pictures (1)")
    parser.add_argument("--figures", type=Path, help="file for the figures, as JSON")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="tapcut-head-"))
    try:
        say("starting a head and two nodes, one replica of each stage; GCS keeps its tables in Redis")
        with running_cluster(folder, {"LEASE_S": f"{LEASE_S:g}"}, gcs_on_redis=True, most=1) as served:
            problems, figures = asyncio.run(_trial(served, options.clients, options.seed))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.figures:
        options.figures.write_text(json.dumps(figures, indent=1) + "\n")
    for problem in problems:
        print(f"BROKEN: {problem}")
    print("head restart: " + (f"{len(problems)} promises broken" if problems else "every promise kept"))
    return 1 if problems else 0


async def _trial(served: Served, clients: int, seed: int) -> tuple[list[str], dict[str, object]]:
    service = served.service
    store: redis.Redis = redis.Redis.from_url(service.redis_url, decode_responses=True)
    load = Load(service.url, clients, seed)
    scene = Scene(service, load, store, random.Random(seed), Path(), LEASE_S)
    seconds: dict[str, float] = {}
    faults = {
        HEAD: _restart_head(served, seconds),
        GCS: _kill_gcs(served, seconds),
        ALL_OF_RAY: _restart_all(served, seconds),
    }
    rows = {name: Row() for name in faults}
    load.start()
    await asyncio.sleep(WARM_S)
    before = {replica.id for replica in served.cluster.replicas()}
    for name, fault in faults.items():
        await strike(name, fault, scene, rows[name], say)
        if name == HEAD:
            kept = before & {replica.id for replica in served.cluster.replicas()}
            say(f"{len(kept)} of {len(before)} replicas are those from before")
    await load.stop()
    findings = await audit(service, load.ledger, store)
    for what, took in seconds.items():
        say(f"{what}: {took:.1f} s")
    print_table(rows, 0.0)
    print_totals(load.ledger, findings)
    problems = list(broken_promises(rows, load.ledger, findings, 1, max(RECOVERY_S.values())))
    for name, limit in RECOVERY_S.items():
        if rows[name].recoveries_s and max(rows[name].recoveries_s) > limit:
            problems.append(f"{name}: recovery took {max(rows[name].recoveries_s):.1f} s, bound {limit:g} s")
    if not kept:
        problems.append("the replicas did not outlive the head")
    figures: dict[str, object] = {
        "accepted": len(load.ledger.jobs),
        "ready": findings.ready,
        "errors": findings.errors,
        "lost": len(findings.lost),
        "calls": load.ledger.calls.sent,
        "sent_again": load.ledger.calls.retried,
        "failed": len(load.ledger.calls.failures),
        "replicas_kept": [len(kept), len(before)],
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "recovery_s": {name: [round(one, 1) for one in row.recoveries_s] for name, row in rows.items()},
        "no_answer_s": {name: [round(one, 1) for one in row.gaps_s] for name, row in rows.items()},
    }
    return problems, figures


def _restart_head(served: Served, seconds: dict[str, float]) -> Fault:
    def restart() -> None:
        cluster, begun = served.cluster, time.monotonic()
        say(f"{cluster.head.kill()} processes of the head killed")
        cluster.wait_for_start(cluster.start_head())
        seconds["head killed to its ray start done"] = time.monotonic() - begun
        cluster.wait_for_nodes()
        cluster.wait_until_steady(DEPLOY_S)
        seconds["head killed to the dashboard telling RUNNING"] = time.monotonic() - begun

    return _mended(restart)


def _kill_gcs(served: Served, seconds: dict[str, float]) -> Fault:
    def kill() -> None:
        head, begun = served.cluster.head, time.monotonic()
        family = head.processes()
        servers = [process for process in family if process.name() == "gcs_server"]
        if not servers:
            raise FaultFailedError("the head has no GCS")
        servers[0].kill()
        try:
            head.process.wait(NOTICED_S)
        except subprocess.TimeoutExpired as error:
            raise FaultFailedError("ray start --block goes on without GCS") from error
        seconds["GCS killed to the end of its ray start"] = time.monotonic() - begun
        for orphan in psutil.wait_procs(family, timeout=10)[1]:
            say(f"{orphan.name()} outlived its ray start")
            orphan.kill()
        served.cluster.wait_for_start(served.cluster.start_head())
        served.cluster.wait_for_nodes()
        served.cluster.wait_until_steady(DEPLOY_S)

    return _mended(kill)


def _restart_all(served: Served, seconds: dict[str, float]) -> Fault:
    def restart() -> None:
        cluster, begun = served.cluster, time.monotonic()
        nodes = cluster.nodes[1:]
        for node in (cluster.head, *nodes):
            node.kill()
        cluster.wait_for_start(cluster.start_head())
        for node in nodes:
            cluster.wait_for_start(cluster.restart_worker(node))
        wait_for_health(served.service.url)
        seconds["all of Ray killed to the first healthy answer"] = time.monotonic() - begun
        cluster.wait_for_nodes()
        cluster.wait_until_steady(DEPLOY_S)
        seconds["all of Ray killed to every replica back"] = time.monotonic() - begun

    return _mended(restart)


def _mended(work: Callable[[], None]) -> Fault:
    """A fault that ends with `work`; recovery counts from its begin."""

    async def inject(scene: Scene) -> float:
        begun = time.monotonic()
        try:
            await asyncio.to_thread(work)
        except (ClusterError, RuntimeError) as error:
            raise FaultFailedError(str(error)) from error
        return begun

    return inject


if __name__ == "__main__":
    sys.exit(main())
