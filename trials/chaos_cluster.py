"""The same service on a cluster of three local nodes, for the fault that one machine cannot have.

Owns the Redis and the work folder that the nodes share, and the process that runs them
(`chaos_nodes.py`).
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil
import yaml

from storage.redis_server import start_redis
from trials.chaos_scene import Fault, FaultFailedError, Scene
from trials.service import ROOT, STOP_S, Service, free_port


class Nodes:
    """Talks to the process that runs the nodes."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._input: IO[str] = process.stdin
        self._output: IO[str] = process.stdout
        self._log = log

    # Any: what the other side tells, as JSON.
    def heard(self) -> dict[str, Any]:
        """The next thing that happened.

        Raises:
            FaultFailedError: the process has ended.
        """
        for line in self._output:
            if line.startswith("{"):
                told: dict[str, Any] = json.loads(line)
                return told
        raise FaultFailedError(f"the cluster has ended: {self._log.read_text()[-3000:]}")

    def kill_one(self) -> list[str]:
        """End a whole node; the deployments that had replicas there."""
        self._input.write("kill\n")
        self._input.flush()
        killed: list[str] = self.heard()["killed"]
        return killed

    def end(self) -> None:
        """End the cluster."""
        self._input.close()


@contextmanager
def running_cluster(folder: Path, settings: dict[str, str]) -> Iterator[tuple[Service, Nodes]]:
    """Two of each stage over two worker nodes; the head has none.

    Raises:
        FaultFailedError: the cluster does not start.
    """
    work_dir, port, log_path = folder / "jobs", free_port(), folder / "cluster.log"
    work_dir.mkdir()
    with start_redis(work_dir) as server, log_path.open("w") as log:
        config = yaml.safe_load((ROOT / "serve_config.local.yaml").read_text())
        for deployment in config["applications"][0]["deployments"]:
            if deployment["name"] != "Ingress":  # its number is the setting WORKERS
                deployment["num_replicas"] = 2
        config["applications"][0]["args"] = {
            "PORT": port,
            "WORK_DIR": str(work_dir),
            "WORKERS": 2,
            "CHECKPOINT_DOWNLOAD": False,
            **settings,
        }
        path = folder / "cluster.yaml"
        path.write_text(yaml.safe_dump(config))
        process = subprocess.Popen(
            [sys.executable, "-m", "trials.chaos_nodes", str(path)],
            cwd=ROOT,
            # Its own folder: Ray notes a cluster's address where others on the machine would find it.
            env={**os.environ, "RAY_TMPDIR": str(folder), "REDIS_URL": server.url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        nodes = Nodes(process, log_path)
        try:
            told = nodes.heard()
            yield Service(told["ready"], work_dir, psutil.Process(process.pid), log_path), nodes
        finally:
            family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            nodes.end()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
            for one in psutil.wait_procs(family, timeout=15)[1]:
                one.kill()


def kill_node(nodes: Nodes) -> Fault:
    """The fault that ends a whole worker node."""

    async def inject(scene: Scene) -> float:
        struck = time.monotonic()
        killed = await asyncio.to_thread(nodes.kill_one)
        if "JobRunner" not in killed or len(killed) < 4:
            raise FaultFailedError(f"the killed node had too little on it: {killed}")
        return struck

    return inject
