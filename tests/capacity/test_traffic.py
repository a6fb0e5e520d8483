"""What a job moves is counted on a real Redis."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from benchmarks.storage import PICTURE, REQUEST
from capacity.traffic import RedisCounts, size_of
from storage.redis_connection import RedisConnection
from storage.redis_jobs import RedisJobs
from storage.redis_server import start_redis


def test_commands_scripts_and_bytes_of_jobs_are_counted(tmp_path: Path) -> None:
    async def create(url: str, ids: list[str]) -> None:
        connection = RedisConnection(url)
        jobs = RedisJobs(connection)
        for job_id in ids:
            await jobs.create(job_id, PICTURE, {"original.png": "x"}, 60)
            await jobs.enqueue(job_id, REQUEST, 1, max_queued=100, ttl_s=60)
        await connection.close()

    def spent(url: str, counts: RedisCounts, ids: list[str]) -> Counter[str]:
        asyncio.run(create(url, ids))
        return counts.lap()

    with start_redis(tmp_path, fsync="everysec") as server:
        counts = RedisCounts(server.url)
        spent(server.url, counts, ["0" * 32])  # loads the scripts
        one = spent(server.url, counts, ["1" * 32])
        five = spent(server.url, counts, [f"{n:032x}" for n in range(2, 7)])
    assert five["scripts"] - one["scripts"] == 8  # two changes each of four jobs more
    assert five["commands"] >= five["scripts"]
    assert five["bytes in"] - one["bytes in"] > 4 * len(REQUEST)
    assert five["bytes logged"] > one["bytes logged"] > 0


def test_size_of_a_message_is_that_of_its_numbers_and_little_more() -> None:
    assert 1_000_000 < size_of(bytes(1_000_000)) < 1_001_000
