"""`python -m trials.upgrade`: upgrades, a rollback and two bad versions by `serve deploy`, under load.

    python -m trials.upgrade [--clients 2] [--figures FILE]

Owns the versions and their order. A version is a config and the folder that its code is in. Exit code 1
when a job is lost, a call fails, a version does not arrive, or a bad one takes the good one's place.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from trials.chaos_audit import audit
from trials.chaos_cluster import Served, running_cluster
from trials.chaos_load import Load
from trials.chaos_strike import deleted_jobs, ready_jobs
from trials.chaos_verdict import print_totals
from trials.cluster import ClusterError
from trials.production import deployments_of
from trials.service import ROOT
from trials.upgrade_watch import Seen, Watch

PACKAGES = ("deployments", "engine", "launch", "storage", "clients/web")
MODULES = ("graph.py", "settings.py")
NEW_VERSION = "0.2.0-trial"
LATEST_S = 300.0  # of one rolling upgrade on a busy machine
Config = dict[str, Any]  # a serve config is a tree of YAML


@dataclass
class Step:
    """What one `serve deploy` did. Calls are the load's; `replaced` of `replicas` are new processes."""

    name: str
    seconds: float = 0.0
    status: str = ""
    replaced: int = 0
    replicas: int = 0
    calls: int = 0
    sent_again: int = 0
    failed: int = 0
    message: str = ""
    seen: Seen = field(default_factory=Seen)


def say(line: str) -> None:
    """One line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the trial. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trials.upgrade", description="Rolling upgrades.")
    parser.add_argument("--clients", type=int, default=2, help="clients that keep jobs in flight (2)")
    parser.add_argument("--figures", type=Path, help="file for the figures, as JSON")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="tapcut-upgrade-"))
    try:
        say("starting a head and two nodes with version A")
        with running_cluster(folder, {"LEASE_S": "3"}) as served:
            problems, steps, totals = asyncio.run(_trial(served, folder, options.clients))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.figures:
        figures = {"steps": [{**vars(step), "seen": vars(step.seen)} for step in steps], **totals}
        options.figures.write_text(json.dumps(figures, indent=1) + "\n")
    for problem in problems:
        print(f"BROKEN: {problem}")
    print("upgrade: " + (f"{len(problems)} promises broken" if problems else "every promise kept"))
    return 1 if problems else 0


async def _trial(
    served: Served, folder: Path, clients: int
) -> tuple[list[str], list[Step], dict[str, object]]:
    store: redis.Redis = redis.Redis.from_url(served.service.redis_url, decode_responses=True)
    load = Load(served.service.url, clients, seed=1)
    problems: list[str] = []
    steps: list[Step] = []
    first = served.config
    new_code = with_code(first, copied_project(folder / "b", NEW_VERSION))
    async with Watch(served.service.url, load, served.cluster) as watch:
        load.start()
        await asyncio.sleep(8)
        before = watch.seen.memory
        for name, config, check in (
            ("user_config", with_batches(first, 4), _kept_replicas),
            ("B: new code, new setting", with_args(new_code, MAX_OBJECTS=7), _runs(NEW_VERSION)),
            ("back to A", first, _runs("0.1.0")),
            ("a setting out of range", with_args(first, MAX_OBJECTS=0), _refused_and_serving),
            (
                "a constructor that fails",
                with_args(first, LAMA_CHECKPOINT="/missing.pt"),
                _stopped_and_serving,
            ),
            ("back to A again", first, _runs("0.1.0")),
        ):
            step = await _deploy(served, load, watch, name, config)
            steps.append(step)
            problems += [f"{name}: {problem}" for problem in check(step)]
            if step.failed:
                problems.append(f"{name}: {step.failed} calls failed")
        await load.stop()
    findings = await audit(served.service, load.ledger, store)
    print_totals(load.ledger, findings)
    _print_table(steps, before)
    problems += [*load.ledger.wrong_answers, *findings.all]
    problems += [f"job {job.job_id} is stuck" for job in load.ledger.jobs.values() if job.stuck]
    totals: dict[str, object] = {
        "accepted": len(load.ledger.jobs),
        "ready": ready_jobs(load.ledger),
        "deleted": deleted_jobs(load.ledger),
        "errors": findings.errors,
        "lost": len(findings.lost),
        "memory_before": before,
    }
    return problems, steps, totals


async def _deploy(served: Served, load: Load, watch: Watch, name: str, config: Config) -> Step:
    """Deploy and wait until nothing changes any more, for good or bad; then a little longer."""
    cluster, step, calls = served.cluster, Step(name), load.ledger.calls
    watch.reset()
    before = cluster.replica_processes()
    sent, again, failed = calls.sent, calls.retried, len(calls.failures)
    began = time.monotonic()
    try:
        await asyncio.to_thread(cluster.deploy, config)
        await asyncio.to_thread(cluster.wait_until_steady, LATEST_S)
        step.status = "RUNNING"
    except ClusterError as error:
        step.status, step.message = "not deployed", str(error)[-800:]
    step.seconds = time.monotonic() - began
    await asyncio.sleep(5)
    now = cluster.replica_processes()
    step.replaced, step.replicas = len(now - before), len(now)
    step.calls, step.sent_again = calls.sent - sent, calls.retried - again
    step.failed = len(calls.failures) - failed
    step.seen = watch.reset()
    say(
        f"{name}: {step.status} after {step.seconds:.1f} s, {step.replaced} of {step.replicas} replicas new; "
        f"{step.calls} calls, {step.sent_again} sent again, {step.failed} failed; "
        f"previews {_listed(step.seen.previews)}; streams {_listed(step.seen.streams)}"
    )
    return step


def copied_project(folder: Path, version: str) -> Path:
    """The project's code in another folder, as another version."""
    for name in PACKAGES:
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
        )
    for name in MODULES:
        shutil.copy(ROOT / name, folder / name)
    api = folder / "deployments" / "http" / "api.py"
    text = api.read_text()
    changed = text.replace('VERSION = "0.1.0"', f'VERSION = "{version}"')
    assert changed != text
    api.write_text(changed)
    return folder


def with_code(config: Config, folder: Path) -> Config:
    """`config` for the code in `folder`, which every node has."""
    changed = copy.deepcopy(config)
    changed["applications"][0]["runtime_env"] = {"env_vars": {"PYTHONPATH": str(folder)}}
    return changed


def with_args(config: Config, **args: object) -> Config:
    """`config` with other settings."""
    changed = copy.deepcopy(config)
    changed["applications"][0]["args"] |= args
    return changed


def with_batches(config: Config, size: int) -> Config:
    """`config` with another `user_config` of the decoder alone."""
    changed = copy.deepcopy(config)
    deployments_of(changed)["PromptDecoder"]["user_config"]["max_batch_size"] = size
    return changed


def _kept_replicas(step: Step) -> list[str]:
    return [f"{step.replaced} replicas were replaced"] if step.replaced or step.status != "RUNNING" else []


def _runs(version: str) -> Callable[[Step], list[str]]:
    def check(step: Step) -> list[str]:
        wrong = []
        if step.status != "RUNNING":
            wrong.append(f"{step.status}: {step.message}")
        if not step.seen.versions[version]:
            wrong.append(f"version {version} never answered: {dict(step.seen.versions)}")
        return wrong

    return check


def _refused_and_serving(step: Step) -> list[str]:
    wrong = [f"{step.replaced} replicas were replaced"] if step.replaced else []
    return [*wrong, "was deployed"] if step.status == "RUNNING" else wrong


def _stopped_and_serving(step: Step) -> list[str]:
    return ["was deployed"] if step.status == "RUNNING" else []


def _print_table(steps: list[Step], before: int) -> None:
    print(f"\nmemory of all processes before: {before / 1e9:.2f} GB")
    head = ("deploy", "ends as", "s", "new replicas", "calls", "sent again", "failed")
    print("| " + " | ".join((*head, "previews", "slowest", "streams", "peak GB")) + " |")
    print("|" + "---|" * (len(head) + 4))
    for step in steps:
        seen, new = step.seen, f"{step.replaced} of {step.replicas}"
        cells = (step.name, step.status, f"{step.seconds:.1f}", new, step.calls, step.sent_again, step.failed)
        watched = (_listed(seen.previews), f"{seen.slowest_preview_s:.1f} s", _listed(seen.streams))
        print("| " + " | ".join(map(str, (*cells, *watched, f"{seen.memory / 1e9:.2f}"))) + " |")
        if step.message:
            print(f"  {step.name}: {step.message}")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items()) or "none"


if __name__ == "__main__":
    sys.exit(main())
