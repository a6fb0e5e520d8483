"""One client for both servers: the brief's workflow, with a clock.

Owns what a job's seconds mean: from the sending of `/segment` to the first `/status` that says ready.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import httpx

CLOSE_POLL_S = 0.1  # where a job's seconds are the figure
USUAL_POLL_S = 1.0  # the brief's own; many users who ask more often would be load of another kind
JOB_S = 1800.0
REFUSALS = (429, 503)

Point = tuple[float, float]


@dataclass(frozen=True)
class JobSeen:
    """A job as its client saw it. Times in seconds, moments in epoch seconds."""

    seconds: float  # tap to ready, as polled
    tapped_at: float
    status: dict[str, Any]  # the last
    result: dict[str, Any]  # result.json; empty where it was not fetched


def ready_at(job: JobSeen) -> float:
    """When our service committed the job, epoch seconds by its own clock."""
    return moment_of(job.status)


def moment_of(status: Mapping[str, Any]) -> float:
    """When a job last changed by what our `/status` tells, epoch seconds."""
    return datetime.fromisoformat(str(status["updated_at"]).replace("Z", "+00:00")).timestamp()


def post_patiently(
    api: httpx.Client,
    path: str,
    longest_s: float = JOB_S,
    on_refusal: Callable[[], object] = lambda: None,
    **request: Any,
) -> httpx.Response:
    """POST; a refusal for load is sent again as it asks, for `longest_s` at most.

    Raises:
        httpx.HTTPStatusError: the last answer is an error.
    """
    deadline = time.monotonic() + longest_s
    while True:
        answer = api.post(path, **request)
        if answer.status_code not in REFUSALS or time.monotonic() > deadline:
            return answer.raise_for_status()
        on_refusal()
        time.sleep(float(answer.headers.get("Retry-After", 1)))


class Customer:
    """Uploads, taps, waits. A context manager; for one thread."""

    def __init__(self, url: str, poll_s: float = CLOSE_POLL_S) -> None:
        self.api = httpx.Client(base_url=url, timeout=300)
        self._poll_s = poll_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.api.close()

    def upload(self, picture: bytes) -> str:
        """Register a picture; the job's id. A refusal for load is sent again as it asks."""
        files = {"file": ("photo.jpg", picture, "image/jpeg")}
        return str(post_patiently(self.api, "/upload", files=files).json()["job_id"])

    def job(
        self,
        job_id: str,
        taps: Sequence[Point],
        outputs: Sequence[str] | None = None,
        *,
        detail: bool = False,
    ) -> JobSeen:
        """Segment an uploaded picture at `taps` (pixels) and wait until it is ready.

        Raises:
            RuntimeError: the job ends otherwise.
        """
        body: dict[str, Any] = {"coordinates_list": [list(tap) for tap in taps]}
        if outputs is not None:
            body["outputs"] = list(outputs)
        tapped_at, started = time.time(), time.perf_counter()
        post_patiently(self.api, "/segment", params={"job_id": job_id}, json=body)
        while True:
            status = self.api.get(f"/status/{job_id}").raise_for_status().json()
            seconds = time.perf_counter() - started
            if status["status"] == "ready":
                break
            if status["status"] == "error" or seconds > JOB_S:
                raise RuntimeError(f"the job has not become ready: {status}")
            time.sleep(self._poll_s)
        result = self.api.get(f"/download/{job_id}/result.json").raise_for_status().json() if detail else {}
        return JobSeen(seconds, tapped_at, status, result)

    def forget(self, job_id: str) -> None:
        """Clean up."""
        self.api.delete(f"/cleanup/{job_id}").raise_for_status()
