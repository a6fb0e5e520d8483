"""A real Redis for the storage tests: one server a run, emptied before each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.redis_connection import RedisConnection
from storage.redis_jobs import RedisJobs
from storage.redis_queue import RedisQueue
from storage.redis_server import RedisServer, start_redis
from storage.shared_folder import SharedFolder
from tests.object_storage import ObjectStorage
from tests.storage.samples import Store
from tests.storage.shelves import BucketShelf, FolderShelf, Shelf


@pytest.fixture(scope="session")
def storage_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    # Not the default "always": a sync at each step is most of these tests' time.
    with start_redis(tmp_path_factory.mktemp("redis"), fsync="everysec") as server:
        yield server


@pytest.fixture
async def store(storage_redis: RedisServer) -> AsyncIterator[Store]:
    connection = RedisConnection(storage_redis.url)
    await connection.client.flushall()
    yield Store(storage_redis.url, connection, RedisJobs(connection), RedisQueue(connection))
    await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> SharedFolder:
    return SharedFolder(tmp_path / "work")


@pytest.fixture(params=["folder", "bucket"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "folder":
        return FolderShelf(tmp_path / "work")
    storage: ObjectStorage = request.getfixturevalue("object_storage")
    return BucketShelf(storage.new_bucket(), tmp_path / "work")
