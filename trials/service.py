"""One real service for a trial or a test, started as a user starts it, on a port of its own.

Owns its start, its end and the finding of its processes. Ends only processes that it started.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[1]
# Converted networks are kept between tests and trials.
CACHE = Path(tempfile.gettempdir()) / "tapcut-test-cache"
START_S, STOP_S = 240.0, 60.0
STAGES = ("PhotoIntake", "ImageEncoder", "PromptDecoder", "MaskRefiner", "LamaInpainter", "ResultComposer")


@dataclass
class Service:
    """A running service and where it keeps its things. `process` is the launcher's."""

    url: str
    work_dir: Path
    process: psutil.Process
    log: Path

    def processes(self, start_of_name: str) -> set[int]:
        """Ids of the service's processes, one word of whose command line starts so."""
        found = set()
        for process in self.process.children(recursive=True):
            try:
                if any(part.startswith(start_of_name) for part in process.cmdline()):
                    found.add(process.pid)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return found

    @property
    def redis_url(self) -> str:
        """The address of the service's own Redis."""
        folder = self.work_dir / ".redis"
        lines = (folder / "redis.conf").read_text().splitlines()
        port = next(line.split()[1] for line in lines if line.startswith("port "))
        return f"redis://:{(folder / 'password').read_text()}@127.0.0.1:{port}/0"

    @property
    def cluster_environment(self) -> dict[str, str]:
        """What a process needs in its environment to join the service's Ray cluster."""
        (raylet,) = self.processes("--raylet_socket_name=")
        (address,) = (part for part in psutil.Process(raylet).cmdline() if part.startswith("--gcs-address="))
        return {
            "RAY_ADDRESS": address.partition("=")[2],
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.work_dir / ".ray_token"),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # as the launcher sets it: the cluster is on 127.0.0.1
        }

    def replicas(self, deployment: str) -> set[int]:
        """Process ids of a deployment's replicas."""
        return self.processes(f"ray::ServeReplica:tapcut:{deployment}")


def free_port() -> int:
    """A free port below those that Ray's workers and the kernel's clients use."""
    # Two that look at the same time shall not find the same one.
    ports = list(range(8600, 8900))
    random.shuffle(ports)
    for port in ports:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port between 8600 and 8900")


class LaunchedService(Service):
    """A service of the launcher's, which can be ended and started again where it was."""

    def __init__(self, settings: Mapping[str, str], config: Path | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tapcut-test-"))
        port = settings.get("PORT") or str(free_port())
        self._environment = {
            **os.environ,
            "WORK_DIR": str(self._folder / "jobs"),
            # Kept between sessions: converting the networks takes longer than all else of a start.
            "CACHE_DIR": str(CACHE),
            "CHECKPOINT_DOWNLOAD": "false",
            **settings,
            "PORT": port,
        }
        self._command = [sys.executable, "-m", "launch", *(["--config", str(config)] if config else [])]
        log = self._folder / "serve.log"
        self._launcher = self._launch(log)
        super().__init__(
            url=f"http://127.0.0.1:{port}",
            work_dir=Path(self._environment["WORK_DIR"]),
            process=psutil.Process(self._launcher.pid),
            log=log,
        )

    def _launch(self, log: Path) -> subprocess.Popen[bytes]:
        with log.open("a") as out:
            return subprocess.Popen(self._command, cwd=ROOT, env=self._environment, stdout=out, stderr=out)

    def wait_until_ready(self) -> None:
        """Wait until it answers.

        Raises:
            RuntimeError: it does not become ready; with its log.
        """
        wait_until_healthy(self.url, self._launcher, self.log)

    def start_again(self) -> None:
        """Start it where it was, after `stop`, and wait until it answers."""
        self._launcher = self._launch(self.log)
        self.process = psutil.Process(self._launcher.pid)
        self.wait_until_ready()

    def stop(self) -> None:
        """End it as Ctrl-C does; nothing is done where it was stopped already.

        Raises:
            AssertionError: a process was left behind, or it ended with an error.
        """
        if self._launcher.returncode is not None:
            return
        running = self._launcher.poll() is None
        family = [self.process, *self.process.children(recursive=True)] if running else []
        self._launcher.send_signal(signal.SIGINT)
        self._launcher.wait(STOP_S)
        _, left = psutil.wait_procs(family, timeout=15)
        names = [one.name() for one in left]
        for one in left:
            one.kill()
        ended = self._launcher.returncode
        assert ended == 0 and not names, f"Ctrl-C left {names}, exit code {ended}"

    def remove_files(self) -> None:
        """Remove what it kept in its own folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def running_service(settings: Mapping[str, str], config: Path | None = None) -> Iterator[LaunchedService]:
    """A service with `settings` (by name, over the trials' defaults), ended and checked with the context.

    `config`: the serve config to deploy; without it, the one that `make serve` deploys.

    Raises:
        RuntimeError: it does not become ready.
        AssertionError: Ctrl-C left a process behind, or it ended with an error.
    """
    service = LaunchedService(settings, config)
    try:
        service.wait_until_ready()
        yield service
    finally:
        try:
            service.stop()
        finally:
            service.remove_files()


def wait_for_health(url: str, within_s: float = START_S) -> None:
    """Wait until `/health` answers with 200.

    Raises:
        RuntimeError: it takes too long.
    """
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(f"{url} is not healthy after {within_s:g} s")


def wait_until_healthy(
    url: str, started: subprocess.Popen[bytes], log: Path, within_s: float = START_S
) -> None:
    """Wait until the server that was `started` answers `/health` with 200.

    Raises:
        RuntimeError: it ended, or took too long; with its log.
    """
    deadline = time.monotonic() + within_s
    while True:
        if started.poll() is not None:
            raise RuntimeError(f"the server at {url} ended with {started.returncode}:\n{log.read_text()}")
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError(f"the server at {url} is not ready after {within_s:g} s:\n{log.read_text()}")
        time.sleep(0.2)
