"""A cluster of Ray nodes on one machine, each started by `ray start` as on a machine of its own.

Owns the nodes' lives, addresses, ports and token. Every node has an address of loopback's own; all HTTP
proxies share one port of 127.0.0.1, as behind a load balancer. Ends only processes that it started.
"""

from __future__ import annotations

import os
import random
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from launch.configuration import settings_of
from launch.ray_environment import node_environment
from trials.service import ROOT, START_S

PORTS = range(8900, 10_000)  # below those of Ray's workers
PORT_OPTIONS = (
    "node-manager-port",
    "object-manager-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
)
NODE_CPUS = 8  # logical: room for all replicas on the nodes that are left
STORE_BYTES = 256 << 20
STEADY = ("HEALTHY",)
TRIES = 4  # more that a node gets to start


class ClusterError(Exception):
    """The cluster did not do what it was told; the message has the log."""


@dataclass(frozen=True)
class Replica:
    """One replica as Serve tells of it."""

    deployment: str
    node: str  # the node's address
    pid: int
    id: str
    state: str


@dataclass
class Node:
    """One node. `process`: its `ray start`, the ancestor of all its processes."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path
    log_begin: int  # where in the log this start begins

    def processes(self) -> list[psutil.Process]:
        """All processes of the node that live."""
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        return []

    def kill(self) -> int:
        """End all its processes at once, as a machine does that loses its power; how many they were."""
        family = self.processes()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self.process.wait()
        psutil.wait_procs(family, timeout=10)
        return len(family)


@dataclass
class Cluster:
    """The nodes that run, the head first.

    `private`: a folder that every node has for itself. `gcs_password`: of the Redis that GCS is told of
    in the environment.
    """

    folder: Path
    environment: dict[str, str]
    private: Path | None = None
    gcs_password: str = ""
    nodes: list[Node] = field(default_factory=list)
    started: int = 0

    def __post_init__(self) -> None:
        self.gcs_port, self.dashboard_port, self.client_port = free_ports(3)
        token = self.folder / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        self._token = token.read_text()
        self.environment |= {"RAY_AUTH_TOKEN_PATH": str(token)}

    @property
    def head(self) -> Node:
        """The node with GCS, dashboard and Serve's controller."""
        return self.nodes[0]

    @property
    def dashboard(self) -> str:
        """What `serve deploy --address` wants."""
        return f"http://127.0.0.1:{self.dashboard_port}"

    def start_head(self, cpus: int = 0) -> Node:
        """Start the head, or start it again where it was."""
        options = [
            *("--head", f"--port={self.gcs_port}", "--include-dashboard=true", "--dashboard-host=127.0.0.1"),
            f"--dashboard-port={self.dashboard_port}",
            *([f"--redis-password={self.gcs_password}"] if self.gcs_password else []),
        ]
        # Ray takes the other nodes, which on one machine it sees, for a head that still runs at this address.
        (self.folder / "2" / "ray_current_cluster").unlink(missing_ok=True)
        head = self._start("127.0.0.2", options, cpus)
        self.nodes = [head, *self.nodes[1:]]
        return head

    def start_worker(self) -> Node:
        """Add a node."""
        self.started += 1
        node = self._start(f"127.0.0.{2 + self.started}", self._join, NODE_CPUS)
        self.nodes.append(node)
        return node

    def restart_worker(self, node: Node) -> Node:
        """Start a node that has ended again, under its old address."""
        again = self._start(node.address, self._join, NODE_CPUS)
        self.nodes[self.nodes.index(node)] = again
        return again

    @property
    def _join(self) -> list[str]:
        return [f"--address=127.0.0.2:{self.gcs_port}"]

    def kill(self, node: Node) -> None:
        """End a worker node as a loss of power does."""
        self.nodes.remove(node)
        node.kill()

    def _start(self, address: str, options: list[str], cpus: int) -> Node:
        folder = self.folder / address.rpartition(".")[2]
        folder.mkdir(exist_ok=True)
        ports = [
            f"--{name}={port}" for name, port in zip(PORT_OPTIONS, free_ports(len(PORT_OPTIONS)), strict=True)
        ]
        command = [
            *(str(Path(sys.executable).with_name("ray")), "start", "--block", *options, *ports),
            *(f"--node-ip-address={address}", f"--num-cpus={cpus}", f"--object-store-memory={STORE_BYTES}"),
            *(f"--temp-dir={folder}", "--disable-usage-stats", "--log-color=false"),
        ]
        if self.private is not None:
            own = folder / "private"
            own.mkdir(exist_ok=True)
            bind = shlex.join(["mount", "--bind", str(own), str(self.private)])
            command = ["unshare", "--mount", "sh", "-c", f"{bind} && exec {shlex.join(command)}"]
        log = folder / "ray_start.log"
        log_begin = log.stat().st_size if log.exists() else 0
        with log.open("a") as output:
            process = subprocess.Popen(
                command,
                # Not in the project's folder: Ray puts the head's before the code that a config names.
                cwd=folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return Node(address, process, log, log_begin)

    def wait_for_start(self, node: Node, within_s: float = 240) -> None:
        """Return when a node's `ray start` has done its work; one that ends is started again.

        Raises:
            ClusterError: it does not start.
        """
        deadline, tries = time.monotonic() + within_s, TRIES
        while time.monotonic() < deadline:
            # GCS listens before the head is entered in it, and a node that comes in between ends.
            if b"Ray runtime started" in node.log.read_bytes()[node.log_begin :]:
                return
            if node.process.poll() is not None:
                # Ray gives a node 30 s to start; on a busy machine that may take another try.
                if (tries := tries - 1) < 0:
                    break
                node = self.start_head() if node is self.head else self.restart_worker(node)
            time.sleep(0.1)
        raise ClusterError(f"node {node.address} does not start: {node.log.read_text()[-3000:]}")

    def wait_for_nodes(self, within_s: float = 120) -> None:
        """Return when every node that was started has joined.

        Raises:
            ClusterError: one has ended, or takes too long.
        """
        deadline = time.monotonic() + within_s
        wanted = {node.address for node in self.nodes}
        while True:
            for node in self.nodes:
                if node.process.poll() is not None:
                    raise ClusterError(f"node {node.address} has ended: {node.log.read_text()[-3000:]}")
            with suppress(httpx.HTTPError, KeyError, ValueError):
                answer = self._get("/api/v0/nodes").json()["data"]["result"]["result"]
                if wanted <= {one["node_ip"] for one in answer if one["state"] == "ALIVE"}:
                    return
            if time.monotonic() > deadline:
                raise ClusterError(f"nodes missing after {within_s:g} s: {self.head.log.read_text()[-3000:]}")
            time.sleep(0.2)

    def serve(self, *arguments: str) -> str:
        """Run Ray's own `serve` command against this cluster; what it printed.

        Raises:
            ClusterError: it failed.
        """
        command = [str(Path(sys.executable).with_name("serve")), *arguments, "--address", self.dashboard]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise ClusterError(f"{shlex.join(command)}: {(done.stdout + done.stderr)[-3000:]}")
        return done.stdout + done.stderr

    def deploy(self, config: Mapping[str, Any]) -> None:
        """`serve deploy` of a config.

        Raises:
            ClusterError: it was refused.
        """
        path = self.folder / "deployed.yaml"
        path.write_text(yaml.safe_dump(dict(config)))
        self.serve("deploy", str(path))

    # Any: Serve's details, as JSON.
    def application(self) -> dict[str, Any]:
        """What Serve says of the application; empty while it says nothing."""
        with suppress(httpx.HTTPError, KeyError, ValueError):
            told: dict[str, Any] = self._get("/api/serve/applications/").json()["applications"]["tapcut"]
            return told
        return {}

    def replicas(self) -> list[Replica]:
        """All replicas that have a process."""
        return [
            Replica(name, one.get("node_ip") or "", one.get("pid") or 0, one["replica_id"], one["state"])
            for name, deployment in self.application().get("deployments", {}).items()
            for one in deployment["replicas"]
        ]

    def replica_processes(self) -> set[int]:
        """Process ids of the replicas that are up, those of an older version among them.

        Serve's own list is empty while the last config deployed is one that could not be built.
        """
        found = set()
        for node in self.nodes:
            for process in node.processes():
                with suppress(psutil.Error):
                    if "".join(process.cmdline()[:1]).startswith("ray::ServeReplica:"):
                        found.add(process.pid)
        return found

    def wait_until_steady(self, within_s: float = START_S) -> dict[str, Any]:
        """Return the application when all its deployments have what they want.

        Raises:
            ClusterError: it failed, or takes too long.
        """
        deadline = time.monotonic() + within_s
        while True:
            told = self.application()
            deployments = told.get("deployments", {}).values()
            if told.get("status") == "RUNNING" and all(one["status"] in STEADY for one in deployments):
                return told
            if told.get("status") == "DEPLOY_FAILED" or time.monotonic() > deadline:
                state = {one["name"]: (one["status"], one["message"][-300:]) for one in deployments}
                raise ClusterError(f"{told.get('status')}: {told.get('message', '')[-500:]} {state}")
            time.sleep(0.3)

    def end(self) -> None:
        """End every node, workers first."""
        for node in reversed(self.nodes):
            node.process.terminate()
        deadline = time.monotonic() + 15
        for node in self.nodes:
            with suppress(subprocess.TimeoutExpired):
                node.process.wait(max(0.1, deadline - time.monotonic()))
        for node in self.nodes:
            node.kill()

    def _get(self, path: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"}
        return httpx.get(self.dashboard + path, headers=headers, timeout=5).raise_for_status()


@contextmanager
def running_nodes(
    folder: Path,
    config: Path,
    workers: int,
    *,
    environment: Mapping[str, str] = os.environ,
    private: Path | None = None,
    gcs_password: str = "",
) -> Iterator[Cluster]:
    """A head without replicas and `workers` nodes, whose environment is that of `config`.

    Raises:
        ClusterError: a node does not start.
    """
    given = {**environment, **node_environment(settings_of(config), environment)}
    cluster = Cluster(folder, given, private, gcs_password)
    try:
        cluster.wait_for_start(cluster.start_head())
        for _ in range(workers):
            cluster.wait_for_start(cluster.start_worker())
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.end()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has now."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("0.0.0.0", port))
            found.append(port)
        if len(found) == count:
            return found
    raise ClusterError(f"no {count} free ports from {PORTS.start} to {PORTS.stop - 1}")
