"""A bucket on an S3 endpoint of our own: `trials.counting_s3` in a process of its own, over real HTTP.

Owns the server's life, what its clients need in their environment, and the looks behind it. Ends only the
process that it started.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import httpx

from trials.service import ROOT, free_port

START_S = 60.0
BUCKET = "tapcut-trial"


@dataclass(frozen=True)
class Bucket:
    """`url`: for STORE_URL. `environment`: the credentials. `process`: the endpoint's."""

    url: str
    environment: dict[str, str]
    endpoint: str
    process: subprocess.Popen[bytes]

    def counts(self) -> Counter[str]:
        """Requests by kind, and bytes, since the endpoint was started."""
        return Counter(httpx.get(f"{self.endpoint}/counts", timeout=30).json())

    def names(self) -> list[str]:
        """What lies in the bucket (the first thousand)."""
        answer = httpx.get(f"{self.endpoint}/{BUCKET}?list-type=2", timeout=30)
        listed = ElementTree.fromstring(answer.raise_for_status().content)
        return [found.text or "" for found in listed.iter() if found.tag.endswith("Key")]


@contextmanager
def running_bucket(folder: Path) -> Iterator[Bucket]:
    """An empty bucket.

    Raises:
        RuntimeError: the server does not start.
    """
    port = free_port()
    endpoint, log_path = f"http://127.0.0.1:{port}", folder / "moto.log"
    command = [sys.executable, "-m", "trials.counting_s3", str(port)]
    with log_path.open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
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
        url = f"s3://{BUCKET}/jobs?endpoint={endpoint}&region=eu-central-1"
        yield Bucket(url, credentials, endpoint, process)
    finally:
        process.send_signal(signal.SIGCONT)  # a trial may have stopped it
        process.terminate()
        process.wait(15)
