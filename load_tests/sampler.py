"""`python -m load_tests.sampler`: looks at a running service every two seconds and writes `samples.json`.

Owns what is looked at: replicas by the Serve controller, queue and batches by the service's `/metrics`,
CPU and memory by the processes of a local service. Joins the service's Ray cluster (RAY_ADDRESS and the
token in the environment). Its input says when to end: at `settle` once every stage is at its least
replicas again, or after a minute; at the end of input at once.
"""

from __future__ import annotations

import argparse
import os
import platform
import queue
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from prometheus_client.parser import text_string_to_metric_families

from load_tests.processes import MACHINE, STOLEN, Family, Usage
from load_tests.records import Sample, Samples, StageSample, write_samples
from trials.service import ROOT

EVERY_S = 2.0
SETTLE_S = 60.0
STARTING, STOPPING = ("STARTING", "UPDATING", "RECOVERING", "PENDING_MIGRATION"), ("STOPPING",)


class Sampler:
    """Takes samples of one service.

    `details`: what the Serve controller tells of the application's deployments. `service` and `load`: the
    processes of a local service and of the load's generators.
    """

    def __init__(
        self,
        url: str,
        details: Callable[[], Mapping[str, Any]],
        service: psutil.Process | None,
        load: Sequence[psutil.Process] = (),
    ) -> None:
        self._url, self._details = url, details
        self._service = Family(service, details()) if service is not None else None
        self._load = [Family(one) for one in load]
        self._self = Family(psutil.Process())
        self.replicas: dict[str, tuple[int, int]] = {}
        self.taken: list[Sample] = []

    def take(self) -> Sample:
        """One sample of everything."""
        at, deployments = time.time(), self._details()
        usage = self._service.look() if self._service is not None else None
        cpu = self._cpu_by_whom(usage, deployments)
        stages = {name: self._stage(name, told, usage) for name, told in deployments.items()}
        sample = Sample(at=at, stages=stages, cpu=cpu, **self._counters())
        self.taken.append(sample)
        return sample

    def settled(self, sample: Sample) -> bool:
        """Whether every stage is at its least number of replicas and none comes or goes."""
        return all(
            stage.running == self.replicas[name][0] and not stage.starting and not stage.stopping
            for name, stage in sample.stages.items()
        )

    # Any: the controller's document.
    def _stage(self, name: str, told: Mapping[str, Any], usage: Usage | None) -> StageSample:
        states = [replica["state"] for replica in told["replicas"]]
        scaling = told["deployment_config"].get("autoscaling_config")
        fixed = told["target_num_replicas"]
        self.replicas[name] = (
            (scaling["min_replicas"], scaling["max_replicas"]) if scaling else (fixed, fixed)
        )
        return StageSample(
            target=told["target_num_replicas"],
            running=states.count("RUNNING"),
            starting=sum(state in STARTING for state in states),
            stopping=sum(state in STOPPING for state in states),
            cpu=usage.cpu.get(name, 0.0) if usage is not None else None,
            rss_mib=usage.rss_mib.get(name, 0.0) if usage is not None else None,
        )

    def _cpu_by_whom(self, usage: Usage | None, stages: Mapping[str, Any]) -> dict[str, float]:
        cpu = {"sampler": _all(self._self.look())}
        if self._load:
            cpu["load"] = sum(_all(one.look()) for one in self._load)
        if usage is not None:
            cpu |= {name: usage.cpu[name] for name in (MACHINE, STOLEN)}
            cpu["redis"] = usage.cpu.get("redis", 0.0)
            apart = {*stages, MACHINE, STOLEN, "redis"}
            cpu["ray"] = sum(cores for role, cores in usage.cpu.items() if role not in apart)
        return cpu

    def _counters(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self._url}/metrics", timeout=20) as answer:
            text = answer.read().decode()
        values: dict[str, float] = {}
        labelled: dict[str, dict[str, float]] = defaultdict(dict)
        for family in text_string_to_metric_families(text):
            for one in family.samples:
                label = one.labels.get("state") or one.labels.get("outcome") or one.labels.get("stage")
                if label is None:
                    values[one.name] = one.value
                else:
                    labelled[one.name][label] = one.value
        if "tapcut_queue_depth" not in values:
            raise OSError("the service's /metrics has no queue: Redis does not answer")
        return {
            "waiting": int(values["tapcut_queue_depth"]),
            "running": int(values["tapcut_jobs_running"]),
            "retries": int(values["tapcut_job_retries_total"]),
            "dead_letters": int(values["tapcut_dead_letters_total"]),
            "jobs": {name: int(count) for name, count in labelled["tapcut_jobs"].items()},
            "ended": {name: int(count) for name, count in labelled["tapcut_jobs_ended_total"].items()},
            "batches": _histograms(labelled, "tapcut_stage_batch_size"),
            "seconds": _histograms(labelled, "tapcut_stage_seconds"),
        }


def _histograms(labelled: Mapping[str, Mapping[str, float]], name: str) -> dict[str, tuple[float, float]]:
    sums = labelled[f"{name}_sum"]
    return {stage: (count, sums[stage]) for stage, count in labelled[f"{name}_count"].items()}


def _all(usage: Usage) -> float:
    return sum(cores for role, cores in usage.cpu.items() if role not in (MACHINE, STOLEN))


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "commit": commit.stdout.strip(),
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / (1 << 30), 1),
        "load_before": os.getloadavg()[0],
    }


def main() -> int:
    """Sample until told to end. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m load_tests.sampler")
    parser.add_argument("--url", required=True)
    parser.add_argument("--out", type=Path, required=True, help="samples.json")
    parser.add_argument("--service-pid", type=int, help="the launcher of a local service")
    parser.add_argument("--load-pid", type=int, nargs="*", default=(), help="processes that make the load")
    options = parser.parse_args()
    before = machine()

    import ray
    from ray.serve.context import _get_global_client

    ray.init(namespace="serve", log_to_driver=False, logging_level="error")

    def details() -> Mapping[str, Any]:
        # `serve.status()` does not tell how many replicas are wanted.
        told: Mapping[str, Any] = _get_global_client().get_serve_details()
        return {one["name"]: one for one in told["applications"]["tapcut"]["deployments"].values()}

    sampler = Sampler(
        options.url,
        details,
        psutil.Process(options.service_pid) if options.service_pid else None,
        [psutil.Process(pid) for pid in options.load_pid],
    )
    commands: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            commands.put(line.strip())
        commands.put("")

    threading.Thread(target=listen, daemon=True).start()
    try:
        _sample(sampler, commands)
    finally:
        write_samples(options.out, Samples(before, sampler.replicas, tuple(sampler.taken)))
    return 0


def _sample(sampler: Sampler, commands: queue.Queue[str]) -> None:
    due, until = time.monotonic(), float("inf")
    while time.monotonic() < until:
        try:
            sample = sampler.take()
            if until != float("inf") and sampler.settled(sample):
                return
        except OSError as error:  # the service is too busy to answer; the next look may find it better
            print(f"sampler: a sample is missing: {error}", file=sys.stderr, flush=True)
        due = max(due + EVERY_S, time.monotonic())
        try:
            if not commands.get(timeout=max(0.0, due - time.monotonic())):
                return
            until = time.monotonic() + SETTLE_S
        except queue.Empty:
            continue


if __name__ == "__main__":
    sys.exit(main())
