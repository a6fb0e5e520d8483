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

from redis import asyncio as redis_asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from storage import redis_keys
from storage.redis_connection import RedisConnection

logger = logging.getLogger(__name__)

_RETRY_S = 0.25


class RedisEvents:
    """Wakes the readers of a job on each change. One per process and event loop.

    It listens to the events of all jobs. Following only those with readers would need a second task
    that writes to the connection, which redis-py's reconnection does not survive (measured with
    8.1.0, November 2026); an event is a few dozen bytes, about ten a job.
    """

    def __init__(self, connection: RedisConnection) -> None:
        self._url = connection.url
        self._readers: dict[str, set[asyncio.Event]] = {}  # by channel
        self._listener: asyncio.Task[None] | None = None

    async def subscribe(self, job_id: str, wake_s: float = 5.0) -> AsyncGenerator[None, None]:
        """Yield at once, after each change of the job, and at least every `wake_s`; never ends.

        Changes that come while the reader is busy are one. Also yields when Redis is away: it is
        the reader's `get` that raises. Close the generator (`aclose`) when done with it.
        """
        channel = redis_keys.EVENTS + job_id
        woken = asyncio.Event()
        readers = self._readers.setdefault(channel, set())
        readers.add(woken)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen(), name="job events")
        try:
            while True:
                yield
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), wake_s)
                woken.clear()
        finally:
            readers.discard(woken)
            if not readers and self._readers.get(channel) is readers:
                del self._readers[channel]

    async def close(self) -> None:
        """Stop listening; subscribers then only wake by the clock."""
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_until_broken()
            except Exception as error:  # whatever ends a connection, the next one may do
                logger.warning("Job events interrupted: %s", error)
            await asyncio.sleep(_RETRY_S)

    async def _listen_until_broken(self) -> None:
        client = redis_asyncio.Redis.from_url(
            self._url, decode_responses=True, protocol=2, retry=Retry(NoBackoff(), 0)
        )
        pubsub: Any = client.pubsub()
        try:
            await pubsub.psubscribe(redis_keys.EVENTS + "*")
            while True:
                self._wake(await pubsub.get_message(timeout=30.0))
        finally:
            await pubsub.aclose()
            await client.aclose()

    def _wake(self, message: Any) -> None:
        if message is None:
            return
        if message["type"] == "psubscribe":  # at first and after each loss: something may have been missed
            for readers in self._readers.values():
                for woken in readers:
                    woken.set()
        else:
            for woken in self._readers.get(message["channel"], ()):
                woken.set()
