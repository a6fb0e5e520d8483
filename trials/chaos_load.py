"""A steady load of jobs, and a ledger of every job that the service accepted.

Owns the clients' behaviour: each uploads, asks, repeats some calls with their keys, follows the job
to its end. What the ledger says is checked against the service afterwards.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from PIL import Image

from trials.chaos_client import CallFailedError, Calls, PatientClient

WIDTH, HEIGHT = 192, 128
DISC = (60, 50)  # x, y of the object
END_WITHIN_S = 120.0  # a job that has not ended by then is stuck
POLL_S = 0.25
REPEATED = 0.3  # share of calls that are sent twice
STREAMED = 0.25  # share of jobs that are followed by events rather than by polling


@dataclass
class Accepted:
    """One accepted job. `ended`: its last status, None while it runs. Times are monotonic seconds."""

    job_id: str
    at: float
    segmented: bool = False
    ended: dict[str, Any] | None = None
    ended_at: float = 0.0
    deleted: bool = False
    stuck: bool = False


@dataclass
class Ledger:
    """All accepted jobs by id, and answers that were not what they should be."""

    jobs: dict[str, Accepted] = field(default_factory=dict)
    wrong_answers: list[str] = field(default_factory=list)
    calls: Calls = field(default_factory=Calls)

    @property
    def in_flight(self) -> list[Accepted]:
        """Jobs that were asked for and have not ended."""
        return [
            job for job in self.jobs.values() if job.segmented and not (job.ended or job.deleted or job.stuck)
        ]


def picture(seed: int) -> bytes:
    """A PNG of an orange disc on a soft background; another `seed` gives another picture."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    pixels = np.stack([90 + 0.2 * x, 140 + 0.1 * y, np.full_like(x, 110)], axis=-1)
    pixels[(x - DISC[0]) ** 2 + (y - DISC[1]) ** 2 < 30**2] = (235, 120, 30)
    pixels += np.random.default_rng(seed).normal(0, 4, pixels.shape)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


class Load:
    """`clients` clients that work one job after another until told to stop."""

    def __init__(self, url: str, clients: int, seed: int) -> None:
        self.ledger = Ledger()
        self._url = url
        self.clients = clients
        self._random = random.Random(seed)
        self._seeds = iter(range(seed * 1_000_000, (seed + 1) * 1_000_000))
        self._open = asyncio.Event()
        self._open.set()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self.clients)]

    async def stop(self) -> None:
        """Let every client finish its job."""
        self._stopping = True
        self._open.set()
        await asyncio.gather(*self._tasks)

    def hold(self) -> None:
        """No client begins another job until `go_on`."""
        self._open.clear()

    def go_on(self) -> None:
        """End of `hold`."""
        self._open.set()

    async def one_job(self, *, delete: bool = False, streamed: bool = False) -> Accepted:
        """One job from its upload to its end, as any client does it.

        Raises:
            CallFailedError: the service refused a call for good.
        """
        async with PatientClient(self._url, self.ledger.calls) as client:
            job = await self.upload(client)
            await self.segment(client, job)
            if delete:
                await asyncio.sleep(self._random.uniform(0, 1.0))
                answer = await client.call("DELETE", f"/cleanup/{job.job_id}")
                # 404: the first answer was lost on the way, the deletion was not.
                job.deleted = answer.status_code in (200, 404)
            elif streamed:
                await self._follow(job)
            await self.wait(client, job)
            return job

    async def an_upload(self) -> str:
        """Id of a job that is only uploaded."""
        async with PatientClient(self._url, self.ledger.calls) as client:
            return (await self.upload(client)).job_id

    async def upload(self, client: PatientClient) -> Accepted:
        """Upload a fresh picture, perhaps twice with the same key."""
        number = next(self._seeds)
        options: dict[str, Any] = {
            "files": {"file": ("photo.png", picture(number))},
            "headers": {"Idempotency-Key": f"upload-{number}"},
        }
        answer = (await client.call("POST", "/upload", **options)).json()
        job = self.ledger.jobs[answer["job_id"]] = Accepted(answer["job_id"], time.monotonic())
        if self._random.random() < REPEATED:
            again = (await client.call("POST", "/upload", **options)).json()
            self._expect(again, answer, "/upload with the same key")
        return job

    async def segment(self, client: PatientClient, job: Accepted, objects: int = 1) -> None:
        """Ask for the job, perhaps twice with the same key."""
        options: dict[str, Any] = {
            "params": {"job_id": job.job_id},
            "json": {"coordinates_list": [list(DISC)] * objects},
            "headers": {"Idempotency-Key": f"segment-{job.job_id}"},
        }
        answer = await client.call("POST", "/segment", **options)
        if answer.status_code != 200:
            self.ledger.wrong_answers.append(f"/segment of accepted job {job.job_id}: {answer.text[:200]}")
            return
        job.segmented = True
        if self._random.random() < REPEATED:
            again = await client.call("POST", "/segment", **options)
            self._expect(again.json(), answer.json(), "/segment with the same key")

    async def wait(self, client: PatientClient, job: Accepted) -> None:
        """Poll until the job ends; one that does not is marked as stuck."""
        deadline = time.monotonic() + END_WITHIN_S
        while job.segmented and not job.deleted:
            answer = await client.call("GET", f"/status/{job.job_id}")
            status = answer.json()
            if answer.status_code == 404:
                self.ledger.wrong_answers.append(f"accepted job {job.job_id} is unknown")
                job.stuck = True
            elif status["status"] in ("ready", "error"):
                job.ended, job.ended_at = status, time.monotonic()
            elif time.monotonic() > deadline:
                job.stuck = True
            if job.ended or job.stuck:
                return
            await asyncio.sleep(POLL_S)

    async def _follow(self, job: Accepted) -> None:
        """Follow the job's events to its end, connecting again when the stream breaks."""
        deadline = time.monotonic() + END_WITHIN_S
        async with httpx.AsyncClient(base_url=self._url, timeout=20) as http:
            while time.monotonic() < deadline:
                try:
                    async with http.stream("GET", f"/events/{job.job_id}") as stream:
                        async for line in stream.aiter_lines():
                            if not line.startswith("data: "):
                                continue
                            status = json.loads(line.removeprefix("data: "))
                            if status.get("status") in ("ready", "error"):
                                return
                except (httpx.TransportError, json.JSONDecodeError):
                    pass
                await asyncio.sleep(0.3)
        self.ledger.wrong_answers.append(f"/events/{job.job_id} never told the end")

    async def _work(self) -> None:
        while not self._stopping:
            await self._open.wait()
            if self._stopping:
                return
            chance = self._random.random()
            try:
                await self.one_job(streamed=chance < STREAMED)
            except CallFailedError:
                await asyncio.sleep(0.5)  # kept in the ledger

    def _expect(self, answer: Any, first: Any, what: str) -> None:
        if answer != first:
            self.ledger.wrong_answers.append(f"{what}: {answer} after {first}")
