"""The two servers of a comparison, running with the same checkpoints.

Owns the plain server's start and end; the service's are `trials.service`'s.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from trials.service import ROOT, free_port, running_service, wait_until_healthy

START_S = 300.0
LARGEST_SIDE = 4096
CACHE = Path(tempfile.gettempdir()) / "tapcut-bench-cache"  # of compiled networks, between runs


@dataclass(frozen=True)
class Checkpoints:
    """The files that both servers load."""

    mobile_sam: Path
    lama: Path


@dataclass(frozen=True)
class Rival:
    """A server that answers. `embeddings`: the folder where it keeps them, if it does."""

    name: str
    url: str
    process: psutil.Process
    embeddings: Path | None = None


@contextmanager
def plain_server(checkpoints: Checkpoints, max_image_size: int = 1024) -> Iterator[Rival]:
    """The plain server, ended with the context.

    Raises:
        RuntimeError: it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="tapcut-plain-") as folder:
        port, log = free_port(), Path(folder) / "plain.log"
        command = [sys.executable, "-m", "benchmarks.plain_server", "--port", str(port)]
        command += ["--mobile-sam", str(checkpoints.mobile_sam), "--lama", str(checkpoints.lama)]
        command += ["--work-dir", str(Path(folder) / "jobs"), "--max-image-size", str(max_image_size)]
        with log.open("w") as out:
            started = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_healthy(url, started, log, START_S)
            yield Rival("plain server", url, psutil.Process(started.pid))
        finally:
            started.kill()
            started.wait()


@contextmanager
def service(checkpoints: Checkpoints, settings: Mapping[str, str]) -> Iterator[Rival]:
    """Our service as a user starts it, but for its port, folder, checkpoints and `settings`."""
    chosen = {
        "MOBILE_SAM_CHECKPOINT": str(checkpoints.mobile_sam),
        "LAMA_CHECKPOINT": str(checkpoints.lama),
        "MAX_IMAGE_SIZE": str(LARGEST_SIDE),
        "CACHE_DIR": str(CACHE),
        **settings,
    }
    with running_service(chosen) as running:
        yield Rival("tapcut", running.url, running.process, running.work_dir / ".embeddings")
