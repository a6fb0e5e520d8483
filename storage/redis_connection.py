"""One process's way to Redis: the connection pool, the scripts, the translation of errors.

Owns everything that knows how redis-py behaves. Works with one Redis primary (alone, or with
replicas behind it), not with Redis Cluster: a job's change touches keys of several hash slots.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from redis import asyncio as redis_asyncio
from redis import exceptions
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from storage import redis_keys
from storage.errors import StoreFault, StoreUnavailable

SOCKET_TIMEOUT_S = 4.0  # of a Redis that hangs, until a client is told; one that is down refuses at once
LONGEST_BLOCK_MS = 2000  # must stay well below the socket's timeout
CONNECTIONS = 64

# What Redis says when it cannot serve now but may later; the rest of its refusals are our mistakes.
_PASSING = ("OOM", "LOADING", "READONLY", "MISCONF", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN")


def require_redis_url(url: str) -> None:
    """Return when redis-py can read the URL; asks no server.

    Raises:
        ValueError: it cannot; the message shows the form and repeats no password.
    """
    try:
        parse_url(url)
    except ValueError:
        raise ValueError(
            "is no address of a Redis: write redis://host:port/0, or redis://:PASSWORD@host:port/0 "
            "(in a password / # ? are %2F %23 %3F)"
        ) from None


@contextmanager
def translated() -> Iterator[None]:
    """Turn what redis-py raises into `StoreUnavailable` or `StoreFault`."""
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
        raise StoreUnavailable(f"Redis cannot be reached: {error}") from error
    except exceptions.RedisError as error:
        message = str(error)
        if isinstance(error, (exceptions.OutOfMemoryError, exceptions.ReadOnlyError)) or any(
            f"{word} " in message for word in _PASSING
        ):
            raise StoreUnavailable(f"Redis refuses for now: {message}") from error
        raise StoreFault(f"Redis refused: {message}") from error


@cache
def script_text(name: str) -> str:
    """The Lua text of one operation, with the key names and the shared functions before it."""
    folder = Path(__file__).with_name("redis_scripts")
    texts = [(folder / f"{part}.lua").read_text("utf-8") for part in ("prelude", "line", name)]
    return redis_keys.lua_table() + "".join(texts)


class RedisConnection:
    """A pool of connections for one event loop. Cheap to make: it connects on first use.

    redis-py sends a command again when the connection broke before the answer came; every script is
    written so that the second time changes nothing.
    """

    def __init__(self, url: str) -> None:
        """`url`: redis://[:password@]host:port/db, or rediss:// for TLS."""
        self.url = url
        pool = redis_asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=SOCKET_TIMEOUT_S,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=2.0,
            decode_responses=True,
            protocol=2,
            # A broken connection is tried again, a silence is not: it has been waited for already.
            retry=Retry(
                ExponentialWithJitterBackoff(base=0.02, cap=0.5),
                4,
                supported_errors=(exceptions.ConnectionError,),
            ),
        )
        self.client = redis_asyncio.Redis.from_pool(pool)
        self._scripts: dict[str, Any] = {}

    # Any: the answer's shape is the script's, known to its one caller.
    async def run(self, name: str, *args: str | int | float) -> Any:
        """Run a script by its name. Creates the consumer group when that is what it lacked."""
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = self.client.register_script(script_text(name))
        with translated():
            try:
                return await script(args=args)
            except exceptions.ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                await self.make_group()
                return await script(args=args)

    async def make_group(self) -> None:
        """Create the consumer group, from the start of the stream, unless it is there."""
        try:
            await self.client.xgroup_create(redis_keys.QUEUE, redis_keys.GROUP, id="0", mkstream=True)
        except exceptions.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def close(self) -> None:
        """Close all connections."""
        await self.client.aclose()
