"""`python -m trials.object_store`: whole jobs with artifacts in a bucket, beside the same with a folder.

Owns the run, its promises and its table: milliseconds of each step on both stores, requests and bytes of
each step on the bucket. The bucket is on an S3 endpoint of the trial's own (`trials.bucket`). Exit code
1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from trials.bucket import Bucket, running_bucket
from trials.scenes import OBJECTS, photo
from trials.service import Service, running_service

WIDTH, HEIGHT = 1024, 768
JOB_S = 120.0
HANG_S = 5.0  # of the endpoint, while a job runs
STEPS = ("upload", "preview", "job, 1 object", "job, 3 objects", "download", "archive.zip", "cleanup")


class Round:
    """The steps of a user against one service; times and, of a bucket, requests are noted by step."""

    def __init__(self, service: Service, endpoint: Bucket | None) -> None:
        self.api = httpx.Client(base_url=service.url, timeout=60)
        self.endpoint = endpoint
        self.times: dict[str, list[float]] = defaultdict(list)
        self.requests: dict[str, Counter[str]] = defaultdict(Counter)
        self.broken: list[str] = []

    @contextmanager
    def step(self, name: str, noted: bool) -> Iterator[None]:
        """Note what the step takes, unless it only warms up."""
        before = self.endpoint.counts() if self.endpoint else Counter[str]()
        started = time.perf_counter()
        yield
        took_ms = (time.perf_counter() - started) * 1000
        if not noted:
            return
        self.times[name].append(took_ms)
        if self.endpoint:
            after = self.endpoint.counts()
            after.subtract(before)
            self.requests[name].update(after)

    def check(self, kept: bool, promise: str) -> None:
        """Note a promise that was not kept."""
        if not kept and promise not in self.broken:
            self.broken.append(promise)

    def go(self, seed: int, noted: bool) -> None:
        """One user: upload, preview, a job of one object, one of three, all downloads, cleanup."""
        picture = photo(WIDTH, HEIGHT, "JPEG", seed)
        points = [[across * WIDTH, down * HEIGHT] for across, down in OBJECTS]
        with self.step("upload", noted):
            job_id = self.upload(picture)
        with self.step("preview", noted):
            answer = self.api.post("/preview", json={"job_id": job_id, "points": points[:1]})
            # 422: the small networks found nothing there.
            self.check(answer.status_code in (200, 422), "every preview is answered")
        with self.step("job, 1 object", noted):
            self.run(job_id, points[:1])
        with self.step("job, 3 objects", noted):
            files = self.run(job_id, points)
        with self.step("download", noted):
            largest = max((self.api.get(f"/download/{job_id}/{name}") for name in files), key=_size)
        with self.step("archive.zip", noted):
            archive = self.api.get(f"/download/{job_id}/archive.zip")
        self.check(zipfile.ZipFile(io.BytesIO(archive.content)).testzip() is None, "the archive is whole")
        self.resumes(largest)
        self.resumes(archive)
        with self.step("cleanup", noted):
            self.api.delete(f"/cleanup/{job_id}").raise_for_status()
        gone = self.api.get(f"/download/{job_id}/original.png").status_code
        self.check(gone == 404, "what is cleaned up is not found")

    def upload(self, picture: bytes) -> str:
        """The new job's id."""
        answer = self.api.post("/upload", files={"file": ("photo.jpg", picture)})
        job_id: str = answer.raise_for_status().json()["job_id"]
        return job_id

    def run(self, job_id: str, points: list[list[float]]) -> list[str]:
        """Names of the files of a run that became ready."""
        body = {"coordinates_list": points}
        self.api.post(f"/segment?job_id={job_id}", json=body).raise_for_status()
        deadline = time.monotonic() + JOB_S
        while time.monotonic() < deadline:
            status = self.api.get(f"/status/{job_id}").raise_for_status().json()
            if status["status"] in ("ready", "error"):
                self.check(status["status"] == "ready", f"every job becomes ready ({status.get('error')})")
                files: list[str] = status["files"]
                return files
            time.sleep(0.02)
        self.check(False, f"every job ends within {JOB_S:.0f} s")
        return []

    def resumes(self, whole: httpx.Response) -> None:
        """A download that breaks off goes on where it was, and only of the same file."""
        size, url = len(whole.content), whole.request.url
        with self.api.stream("GET", url) as broken:
            got = next(broken.iter_raw(size // 3))
        headers = {"Range": f"bytes={len(got)}-", "If-Range": broken.headers["etag"]}
        rest = self.api.get(url, headers=headers)
        right = rest.status_code == 206 and got + rest.content == whole.content
        self.check(right, "a download that broke off is resumed")
        other = self.api.get(url, headers={**headers, "If-Range": '"another"'})
        self.check(other.content == whole.content, "another file is never mixed in")
        head = self.api.head(url)
        self.check(head.headers["content-length"] == str(size), "HEAD tells the size")


def _size(answer: httpx.Response) -> int:
    return len(answer.raise_for_status().content)


def run_store(settings: Mapping[str, str], endpoint: Bucket | None, jobs: int, seconds: float) -> Round:
    """Rounds on a service of this store: one to warm up, then `jobs` or as many as fit into `seconds`."""
    with running_service(settings) as service:
        user = Round(service, endpoint)
        user.go(0, noted=False)
        ends = time.monotonic() + seconds
        for seed in range(1, jobs + 1):
            if time.monotonic() > ends and seed > 1:
                break
            user.go(seed, noted=True)
        if endpoint is not None:
            _hang(user, endpoint)
            _check_empty(user, endpoint)
        user.api.close()
    return user


def _hang(user: Round, endpoint: Bucket) -> None:
    """The endpoint answers nothing for a while; the job that runs meanwhile becomes ready all the same."""
    job_id = user.upload(photo(WIDTH, HEIGHT, "JPEG", 1000))
    endpoint.process.send_signal(signal.SIGSTOP)
    back = threading.Timer(HANG_S, endpoint.process.send_signal, (signal.SIGCONT,))
    back.start()
    started = time.monotonic()
    user.run(job_id, [[across * WIDTH, down * HEIGHT] for across, down in OBJECTS])
    print(f"a job during a hang of {HANG_S:g} s: ready after {time.monotonic() - started:.1f} s", flush=True)
    back.join()
    user.api.delete(f"/cleanup/{job_id}").raise_for_status()


def _check_empty(user: Round, endpoint: Bucket) -> None:
    deadline = time.monotonic() + 10
    while endpoint.names() and time.monotonic() < deadline:
        time.sleep(0.2)
    left = endpoint.names()
    user.check(not left, f"nothing is left in the bucket ({', '.join(left[:3])})")


def table(folder: Round, bucket: Round) -> str:
    """A line for each step: median ms on both stores, and what the bucket was asked, per round."""
    kinds = ("PUT", "GET", "HEAD", "LIST", "DELETE")
    lines = ["step | folder, ms | bucket, ms | " + " | ".join(kinds) + " | kB in | kB out"]
    for step in STEPS:
        rounds, asked = len(bucket.times[step]), bucket.requests[step]
        medians = [f"{statistics.median(user.times[step]):.0f}" for user in (folder, bucket)]
        numbers = [f"{asked[kind] / rounds:.1f}" for kind in kinds]
        sizes = [f"{asked[name] / rounds / 1000:.0f}" for name in ("bytes in", "bytes out")]
        lines.append(" | ".join([step, *medians, *numbers, *sizes]))
    return "\n".join(lines)


def main() -> int:
    """Run both; answer the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10, help="rounds on each store")
    parser.add_argument("--seconds", type=float, default=40, help="longest for the rounds of one store")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        on_folder = run_store({"STORE_URL": f"file://{folder}"}, None, options.jobs, options.seconds)
        with running_bucket(Path(folder)) as bucket:
            settings = {"STORE_URL": bucket.url, **bucket.environment}
            on_bucket = run_store(settings, bucket, options.jobs, options.seconds)
    print(table(on_folder, on_bucket))
    broken = on_folder.broken + on_bucket.broken
    for promise in broken:
        print(f"BROKEN: {promise}")
    rounds = len(on_bucket.times["upload"])
    print(f"{rounds} rounds on each store, {'all promises kept' if not broken else 'not all promises kept'}")
    if options.json:
        figures = {
            "folder_ms": on_folder.times,
            "bucket_ms": on_bucket.times,
            "requests": on_bucket.requests,
            "broken": broken,
        }
        options.json.write_text(json.dumps(figures, indent=1))
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
