"""Clients that ask once and wait for what was accepted, and the record of what they have seen."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

from trials.scenes import OBJECTS, photo

CLIENTS = 256
PICTURES = [photo(640, 480, "JPEG", seed) for seed in range(24)]
TAP = {"coordinates_list": [list(OBJECTS[0])], "normalized": True}


@dataclass
class Overload:
    """What a run has seen. Times in seconds."""

    limit: int
    capacity: float = 0.0
    offered: float = 0.0
    served: float = 0.0  # jobs a second that became ready under the load
    busy_clients: int = 0  # arrivals that found no free client, so were not offered
    waits: list[float] = field(default_factory=list)  # accepted: from /segment to ready
    ends: Counter[str] = field(default_factory=Counter)  # accepted jobs by how they ended
    refused: dict[str, list[float]] = field(default_factory=lambda: {"/upload": [], "/segment": []})
    kept: list[str] = field(default_factory=list)  # uploaded, then refused by /segment
    retry_after: list[int] = field(default_factory=list)
    probes: dict[str, list[float]] = field(default_factory=lambda: {"health": [], "status": []})
    faults: list[str] = field(default_factory=list)
    back_s: float = 0.0
    grown_mib: float = 0.0
    strays: int = 0  # job folders that belong to no job

    @property
    def refusals(self) -> list[float]:
        """Of both calls."""
        return [seconds for refused in self.refused.values() for seconds in refused]

    @property
    def bound_s(self) -> float:
        """Longest p95 of an accepted job: a full queue's time, half as much again, and its own."""
        return 1.5 * (self.limit + 1) / self.served if self.served else 0.0


class Client:
    """One job at a time against the service, noted in an `Overload`."""

    def __init__(self, url: str, seen: Overload) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=CLIENTS)
        self.api = httpx.Client(base_url=url, timeout=120, limits=limits)
        self._seen = seen
        self._lock = threading.Lock()

    def job(self, number: int, stop_s: float = 600) -> bool:
        """One job from upload to its end; whether it was accepted."""
        try:
            return self._job(number, stop_s)
        except (httpx.HTTPError, AssertionError, ValueError, KeyError) as error:
            with self._lock:
                self._seen.faults.append(f"{type(error).__name__}: {error}")
            return False

    def _job(self, number: int, stop_s: float) -> bool:
        files = {"file": ("photo.jpg", PICTURES[number % len(PICTURES)])}
        started = time.perf_counter()
        answer = self.api.post("/upload", files=files)
        if self._refused(answer, started):
            return False
        job_id = answer.json()["job_id"]
        started = time.perf_counter()
        answer = self.api.post("/segment", params={"job_id": job_id}, json=TAP)
        if self._refused(answer, started):
            with self._lock:
                self._seen.kept.append(job_id)
            return False
        state = self._wait(job_id, stop_s)
        with self._lock:
            self._seen.waits.append(time.perf_counter() - started)
            self._seen.ends[state] += 1
        self.api.delete(f"/cleanup/{job_id}").raise_for_status()
        return True

    def _refused(self, answer: httpx.Response, started: float) -> bool:
        if answer.status_code == 200:
            return False
        assert answer.status_code == 503, (
            f"{answer.request.url.path} answers {answer.status_code}: {answer.text}"
        )
        retry_after = int(answer.headers["Retry-After"])
        with self._lock:
            self._seen.refused[answer.request.url.path].append(time.perf_counter() - started)
            self._seen.retry_after.append(retry_after)
        return True

    def _wait(self, job_id: str, stop_s: float) -> str:
        deadline = time.monotonic() + stop_s
        while True:
            answer = self.api.get(f"/status/{job_id}")
            assert answer.status_code == 200, f"/status answers {answer.status_code}: {answer.text[:200]}"
            state = str(answer.json()["status"])
            if state in ("ready", "error"):
                return state
            assert time.monotonic() < deadline, f"an accepted job is still {answer.json()}"
            time.sleep(1.0)
