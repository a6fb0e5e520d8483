from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.http.events import stream_events
from deployments.http.places import Places
from deployments.http.problems import StageUnavailableError
from storage.errors import StoreUnavailable

SCOPE = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET", "headers": []}


class Follower:
    """A client of one event stream, as an ASGI server presents it."""

    def __init__(self, places: Places, owner: str = "") -> None:
        self.left = asyncio.Event()
        self.begun = asyncio.Event()
        # A store that does not answer: the stream says so and goes on for ever.
        backend: Any = SimpleNamespace(events=self, jobs=self)
        self._stream = stream_events(backend, "0" * 32, owner, "jobs", places)

    async def subscribe(self, job_id: str) -> AsyncGenerator[None]:
        while True:
            yield
            await asyncio.sleep(0.01)

    async def get(self, job_id: str) -> None:
        raise StoreUnavailable("it is away")

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.begun.set()

    async def follow(self) -> None:
        await self._stream(SCOPE, self.receive, self.send)


async def test_event_streams_are_bounded_and_one_that_leaves_makes_room() -> None:
    places = Places(1, "event streams")
    first, second, third = Follower(places), Follower(places), Follower(places)
    following = asyncio.create_task(first.follow())
    await asyncio.wait_for(first.begun.wait(), 5)
    with pytest.raises(StageUnavailableError, match="event streams"):
        await second.follow()
    first.left.set()
    await asyncio.wait_for(following, 5)
    following = asyncio.create_task(third.follow())
    await asyncio.wait_for(third.begun.wait(), 5)
    third.left.set()
    await asyncio.wait_for(following, 5)


async def test_one_tenant_leaves_half_of_the_streams_to_the_others() -> None:
    places = Places(4, "event streams")
    greedy, others = [Follower(places, "a") for _ in range(3)], [Follower(places, "b") for _ in range(2)]
    following = [asyncio.create_task(one.follow()) for one in greedy[:2] + others]
    for one in greedy[:2]:
        await asyncio.wait_for(one.begun.wait(), 5)
    with pytest.raises(StageUnavailableError, match="event streams"):
        await greedy[2].follow()
    for one in others:
        await asyncio.wait_for(one.begun.wait(), 5)
    greedy[0].left.set()
    await asyncio.wait_for(following[0], 5)
    following.append(asyncio.create_task(greedy[2].follow()))
    await asyncio.wait_for(greedy[2].begun.wait(), 5)
    for one in greedy + others:
        one.left.set()
    await asyncio.gather(*following)
