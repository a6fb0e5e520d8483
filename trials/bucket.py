"""A bucket on an S3 endpoint of our own: moto's server, in a process of its own, over real HTTP.

Owns the server's life and what its clients need in their environment. Ends only the process that it
started.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from trials.service import free_port

START_S = 60.0
BUCKET = "tapcut-trial"


@dataclass(frozen=True)
class Bucket:
    """`url`: for STORE_URL. `environment`: the credentials."""

    url: str
    environment: dict[str, str]


@contextmanager
def running_bucket(folder: Path) -> Iterator[Bucket]:
    """An empty bucket.

    Raises:
        RuntimeError: the server does not start.
    """
    port = free_port()
    endpoint, log_path = f"http://127.0.0.1:{port}", folder / "moto.log"
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    with log_path.open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                httpx.put(f"{endpoint}/{BUCKET}", timeout=5).raise_for_status()
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"moto does not start: {log_path.read_text()[-2000:]}") from None
                time.sleep(0.2)
        credentials = {"AWS_ACCESS_KEY_ID": "trial", "AWS_SECRET_ACCESS_KEY": "the secret of the trial"}
        yield Bucket(f"s3://{BUCKET}/jobs?endpoint={endpoint}&region=eu-central-1", credentials)
    finally:
        process.terminate()
        process.wait(15)
