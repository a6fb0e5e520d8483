"""One client of a real service: uploads, looks, taps, polls, cleans up, as the simulation's clients do.

Owns the calls and the moments of a job: from the sending of `/segment` to the commit that `/status` names.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks.customer import moment_of, post_patiently
from trials.scenes import OBJECTS, photo

OUTLAST_S = 300.0
# The service is on this machine and speaks plain HTTP. HTTPX would read all certificate authorities for each
# new visitor: 26 to 50 ms of a core, which the simulation knows nothing of.
_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True, slots=True)
class Tapped:
    """A job that ended. Epoch seconds; `status` is the last answer."""

    tapped_at: float
    accepted_at: float
    ready_at: float
    polls: int
    status: dict[str, Any]


def new_pictures(count: int, side: int, seed: int) -> list[bytes]:
    """JPEGs that no service has seen, `side` px square, three objects each."""
    return [photo(side, side, "JPEG", seed + number) for number in range(count)]


def fresh_seed() -> int:
    """A first seed of pictures that differs from that of every run before."""
    return time.time_ns() // 1000 % 2**31


class Visitor:
    """For one thread."""

    def __init__(self, url: str, poll_s: float) -> None:
        self.api = httpx.Client(base_url=url, timeout=120, verify=_TRUSTS_NOBODY)
        self._poll_s = poll_s
        self.refused = 0

    def close(self) -> None:
        """Close its connections."""
        self.api.close()

    def upload(self, picture: bytes) -> str:
        """The job's id."""
        files = {"file": ("photo.jpg", picture, "image/jpeg")}
        return str(self._post("/upload", files=files).json()["job_id"])

    def tap(
        self, job_id: str, objects: int, until: Callable[[], object] | None = None, **body: Any
    ) -> Tapped:
        """Ask for `objects` objects and wait until the job is ready; `until` waits before the first poll.

        Raises:
            RuntimeError: the job ends otherwise.
        """
        asked = {"coordinates_list": [list(at) for at in OBJECTS[:objects]], "normalized": True, **body}
        tapped_at = time.time()
        self._post("/segment", params={"job_id": job_id}, json=asked)
        accepted_at = time.time()
        if until is not None:
            until()
        polls = 0
        while True:
            status = self.poll(job_id)
            polls += 1
            if status["status"] == "ready":
                return Tapped(tapped_at, accepted_at, moment_of(status), polls, status)
            if status["status"] == "error" or time.time() > tapped_at + OUTLAST_S:
                raise RuntimeError(f"the job has not become ready: {status}")
            time.sleep(self._poll_s)

    def poll(self, job_id: str) -> dict[str, Any]:
        """One `/status`."""
        told: dict[str, Any] = self.api.get(f"/status/{job_id}").raise_for_status().json()
        return told

    def forget(self, job_id: str) -> None:
        """Delete the job."""
        self.api.delete(f"/cleanup/{job_id}").raise_for_status()

    def visit(self, picture: bytes, objects: int, look_s: float) -> Tapped:
        """All of it."""
        job_id = self.upload(picture)
        time.sleep(look_s)
        tapped = self.tap(job_id, objects)
        self.forget(job_id)
        return tapped

    def _post(self, path: str, **request: Any) -> httpx.Response:
        return post_patiently(self.api, path, OUTLAST_S, self._count_refusal, **request)

    def _count_refusal(self) -> None:
        self.refused += 1
