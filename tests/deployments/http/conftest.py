"""The API in this process, with keys, over a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.http.api import create_api
from settings import read_settings
from storage.redis_connection import RedisConnection
from storage.redis_server import RedisServer, start_redis
from tests.deployments.http.small_service import SmallService

KEY_A = "alice-alice-alice-alice"
KEY_A2 = "alice-second-second-key"
KEY_B = "bobby-bobby-bobby-bobby"
KEYS = f"alice={KEY_A}, alice={KEY_A2}\n{KEY_B}"


@pytest.fixture(scope="session")
def api_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with start_redis(tmp_path_factory.mktemp("redis"), fsync="everysec") as server:
        yield server


class Running:
    """The API as several clients see it."""

    def __init__(self, backend: SmallService) -> None:
        self.backend = backend
        self.app = create_api(backend)

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://tapcut", headers=headers)


@pytest.fixture
async def serve(api_redis: RedisServer, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Make the API with settings of one's own; all share the Redis, emptied before each test."""
    connection = RedisConnection(api_redis.url)
    await connection.client.flushall()
    await connection.close()

    @asynccontextmanager
    async def run(**settings: object) -> AsyncIterator[Running]:
        args = {"API_KEYS": KEYS, "REDIS_URL": api_redis.url, "WORK_DIR": str(tmp_path / "jobs"), **settings}
        backend = SmallService(read_settings(args))
        yield Running(backend)
        await backend.close()

    yield run


@pytest.fixture
async def running(serve: Callable[..., Any]) -> AsyncIterator[Running]:
    async with serve() as one:
        yield one
