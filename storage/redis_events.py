"""Tells readers in this process that a job changed.

Owns the one subscription connection that all readers of a process share. An event carries nothing:
the reader gets the job. Events are hints; a reader is also woken every few seconds, so that a lost
one costs time and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Any

from redis import exceptions

from storage import redis_keys
from storage.redis_connection import RedisConnection

logger = logging.getLogger(__name__)

_RETRY_S = 0.25


class RedisEvents:
    """Wakes the readers of a job on each change. One per process and event loop."""

    def __init__(self, connection: RedisConnection) -> None:
        self._redis = connection
        self._readers: dict[str, set[asyncio.Event]] = {}  # by channel
        self._pubsub: Any = None
        self._changed = asyncio.Lock()  # one change of the subscription at a time
        self._listener: asyncio.Task[None] | None = None

    async def subscribe(self, job_id: str, wake_s: float = 5.0) -> AsyncGenerator[None]:
        """Yield at once, after each change of the job, and at least every `wake_s`; never ends.

        Changes that come while the reader is busy are one. Also yields when Redis is away: it is
        the reader's `get` that raises.
        """
        channel = redis_keys.EVENTS + job_id
        woken = asyncio.Event()
        readers = self._readers.setdefault(channel, set())
        readers.add(woken)
        try:
            await self._follow(channel)
            while True:
                yield
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), wake_s)
                woken.clear()
        finally:
            readers.discard(woken)
            if not readers and self._readers.get(channel) is readers:
                del self._readers[channel]
                await self._unfollow(channel)

    async def close(self) -> None:
        """Stop listening; subscribers then only wake by the clock."""
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None

    async def _follow(self, channel: str) -> None:
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen(), name="job events")
        async with self._changed:
            if self._pubsub is not None:  # else the listener subscribes to all when it connects
                with contextlib.suppress(exceptions.RedisError, OSError):
                    await self._pubsub.subscribe(channel)

    async def _unfollow(self, channel: str) -> None:
        async with self._changed:
            if self._pubsub is not None and channel not in self._readers:
                with contextlib.suppress(exceptions.RedisError, OSError):
                    await self._pubsub.unsubscribe(channel)

    async def _listen(self) -> None:
        while True:
            pubsub: Any = self._redis.client.pubsub()
            try:
                async with self._changed:
                    # One channel that nobody writes to keeps the connection when no job is followed.
                    await pubsub.subscribe(redis_keys.EVENTS, *self._readers)
                    self._pubsub = pubsub
                while True:
                    self._wake(await pubsub.get_message(timeout=30.0))
            except (exceptions.RedisError, OSError) as error:
                logger.warning("Job events interrupted: %s", error)
            finally:
                self._pubsub = None
                with contextlib.suppress(exceptions.RedisError, OSError):
                    await pubsub.aclose()
            await asyncio.sleep(_RETRY_S)

    def _wake(self, message: Any) -> None:
        # A "subscribe" message wakes too: it says that from here on nothing is missed, at first and
        # after each reconnection.
        if message is not None and message["type"] in ("message", "subscribe"):
            for woken in self._readers.get(message["channel"], ()):
                woken.set()
