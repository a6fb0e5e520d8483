"""What clients and the machine notice while a new version is deployed.

Owns the watchers beside the load: previews, event streams, the version that answers, and memory.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import psutil

from trials.chaos_load import DISC, Load
from trials.cluster import Cluster

PREVIEW_EVERY_S = 0.5
MEMORY_EVERY_S = 3.0
SHORTEST_STREAM_S = 15.0  # the service ends streams after 20 s


@dataclass
class Seen:
    """Counts by outcome since the last `reset`. Seconds and bytes are the largest."""

    previews: Counter[str] = field(default_factory=Counter)
    streams: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    slowest_preview_s: float = 0.0
    memory: int = 0


class Watch:
    """Watchers that run until the context ends."""

    def __init__(self, url: str, load: Load, cluster: Cluster) -> None:
        self.seen = Seen()
        self._url, self._load, self._cluster = url, load, cluster
        self._tasks: list[asyncio.Task[None]] = []

    def reset(self) -> Seen:
        """Begin to count anew; what was counted so far."""
        seen, self.seen = self.seen, Seen()
        return seen

    async def __aenter__(self) -> Watch:
        # Each call may meet another process.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.AsyncClient(base_url=self._url, timeout=40, limits=limits)
        idle = await self._load.an_upload()
        self._tasks = [
            asyncio.create_task(self._preview(idle)),
            *(asyncio.create_task(self._stream(idle)) for _ in range(3)),
            asyncio.create_task(self._ask_version()),
            asyncio.create_task(self._weigh()),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        await self._http.aclose()

    async def _preview(self, job_id: str) -> None:
        prompt = {"job_id": job_id, "points": [list(DISC)], "labels": [1]}
        while True:
            began = time.monotonic()
            try:
                answer = await self._http.post("/preview", json=prompt)
                what = str(answer.status_code)
            except httpx.TransportError as error:
                what = type(error).__name__
            self.seen.previews[what] += 1
            self.seen.slowest_preview_s = max(self.seen.slowest_preview_s, time.monotonic() - began)
            await asyncio.sleep(PREVIEW_EVERY_S)

    async def _stream(self, job_id: str) -> None:
        while True:
            began = time.monotonic()
            try:
                async with self._http.stream("GET", f"/events/{job_id}") as stream:
                    async for _ in stream.aiter_lines():
                        pass
                early = time.monotonic() - began < SHORTEST_STREAM_S
                what = str(stream.status_code) + (" ended early" if early else "")
            except httpx.TransportError as error:
                what = type(error).__name__
            self.seen.streams[what] += 1
            await asyncio.sleep(0.2)

    async def _ask_version(self) -> None:
        while True:
            with suppress(httpx.TransportError, KeyError, ValueError):
                self.seen.versions[(await self._http.get("/health")).json()["version"]] += 1
            await asyncio.sleep(0.3)

    async def _weigh(self) -> None:
        while True:
            self.seen.memory = max(self.seen.memory, await asyncio.to_thread(self._memory))
            await asyncio.sleep(MEMORY_EVERY_S)

    def _memory(self) -> int:
        """Of all processes of the cluster, each shared page counted once (PSS)."""
        total = 0
        for node in self._cluster.nodes:
            for process in node.processes():
                with suppress(psutil.Error):
                    total += process.memory_full_info().pss
        return total
