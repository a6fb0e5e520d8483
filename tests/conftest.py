"""One real service for the whole session: Redis, Ray and every stage, on ports of its own."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import launch
from settings import Settings, read_settings


def free_port() -> int:
    """A free port below those that Ray's workers and the kernel's clients use."""
    for port in range(8600, 8900):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError("no free port between 8600 and 8900")


@pytest.fixture(scope="session")
def service_settings() -> Iterator[Settings]:
    folder = Path(tempfile.mkdtemp(prefix="tapcut-test-"))
    yield read_settings(
        {
            "PORT": free_port(),
            "WORK_DIR": str(folder / "jobs"),
            "CACHE_DIR": str(folder / "cache"),
            "CHECKPOINT_DOWNLOAD": False,
            "LEASE_S": 2,
            "MAX_UPLOAD_MB": 2,
            "MAX_PIXELS": 4_000_000,
            "MAX_OBJECTS": 8,
            "MAX_QUEUED_JOBS": 40,
        }
    )
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def service_url(service_settings: Settings) -> Iterator[str]:
    with launch.service(service_settings, launch.ROOT / "serve_config.local.yaml", threading.Event()) as url:
        yield url


@pytest.fixture
def api(service_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service_url, timeout=60) as client:
        yield client
