"""One real service for the whole session, started as a user starts it, on ports of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]
START_S, STOP_S = 240.0, 60.0


def free_port() -> int:
    """A free port below those that Ray's workers and the kernel's clients use."""
    for port in range(8600, 8900):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError("no free port between 8600 and 8900")


@dataclass(frozen=True)
class Service:
    """A running service and where it keeps its things."""

    url: str
    work_dir: Path
    process: psutil.Process

    def replicas(self, deployment: str) -> set[int]:
        """Process ids of a deployment's replicas."""
        name = f"ray::ServeReplica:tapcut:{deployment}"
        found = set()
        for process in self.process.children(recursive=True):
            try:
                if any(part.startswith(name) for part in process.cmdline()):
                    found.add(process.pid)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return found


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    folder = Path(tempfile.mkdtemp(prefix="tapcut-test-"))
    port = free_port()
    settings = {
        "PORT": str(port),
        "WORK_DIR": str(folder / "jobs"),
        # Kept between sessions: converting the networks takes longer than all else of a start.
        "CACHE_DIR": str(Path(tempfile.gettempdir()) / "tapcut-test-cache"),
        "CHECKPOINT_DOWNLOAD": "false",
        "LEASE_S": "2",
        "MAX_UPLOAD_MB": "2",
        "MAX_PIXELS": "4000000",
        "MAX_OBJECTS": "8",
        "MAX_QUEUED_JOBS": "12",
    }
    log = (folder / "serve.log").open("w+")
    started = subprocess.Popen(
        [sys.executable, "-m", "launch"], cwd=ROOT, env={**os.environ, **settings}, stdout=log, stderr=log
    )
    url, process = f"http://127.0.0.1:{port}", psutil.Process(started.pid)
    try:
        _wait_until_ready(url, started, folder / "serve.log")
        yield Service(url, folder / "jobs", process)
    finally:
        family = [process, *process.children(recursive=True)] if started.poll() is None else []
        started.send_signal(signal.SIGINT)
        started.wait(STOP_S)
        _, left = psutil.wait_procs(family, timeout=15)
        names = [one.name() for one in left]
        for one in left:
            one.kill()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)
    assert started.returncode == 0 and not names, f"Ctrl-C left {names}, exit code {started.returncode}"


def _wait_until_ready(url: str, started: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        if started.poll() is not None:
            raise RuntimeError(f"the service ended with {started.returncode}:\n{log.read_text()}")
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError(f"the service is not ready after {START_S:g} s:\n{log.read_text()}")
        time.sleep(0.2)


@pytest.fixture(scope="session")
def service_url(service: Service) -> str:
    return service.url


@pytest.fixture
def api(service_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service_url, timeout=60) as client:
        yield client
