"""What the store's own work costs: latency of each call on an idle store, and jobs per second.

    python -m benchmarks.storage [--fsync always|everysec] [--work-dir DIR]

Starts its own Redis in a temporary folder under `--work-dir` (here, by default) and prints a table.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from storage.files import job_key
from storage.job_metrics import StageTiming
from storage.job_queue import Delivery
from storage.jobs import Picture
from storage.redis_connection import RedisConnection
from storage.redis_jobs import RedisJobs
from storage.redis_queue import RedisQueue
from storage.redis_server import start_redis
from storage.shared_folder import SharedFolder

PICTURE = Picture("d" * 64, 1024, 768, 4000, 3000, "jpeg")
REQUEST = '{"objects": [{"points": [[512.0, 384.0]], "labels": [1]}], "outputs": ["masks", "inpainted"]}'
RESULT = '{"objects": ["' + "x" * 20_000 + '"]}'  # as large as one object's polygons and RLE
T = TypeVar("T")
TIMINGS = [StageTiming(stage, 0.2, 2) for stage in ("encode", "decode", "refine", "inpaint")]


class Stopwatch:
    """Milliseconds of each call by name."""

    def __init__(self) -> None:
        self.calls: dict[str, list[float]] = {}

    async def time(self, name: str, call: Awaitable[T]) -> T:
        """The call's answer, its time noted."""
        start = time.perf_counter()
        answer = await call
        self.calls.setdefault(name, []).append((time.perf_counter() - start) * 1000)
        return answer

    def table(self) -> str:
        """One line a call: median and 95th percentile."""
        lines = [f"{'call':<22}{'p50 ms':>8}{'p95 ms':>8}"]
        for name, times in self.calls.items():
            cut = statistics.quantiles(times, n=20)
            lines.append(f"{name:<22}{statistics.median(times):>8.2f}{cut[-1]:>8.2f}")
        return "\n".join(lines)


async def latencies(jobs: RedisJobs, queue: RedisQueue, count: int) -> Stopwatch:
    """One job after the other through its whole life, alone on the store."""
    watch = Stopwatch()
    for _ in range(count):
        job_id = uuid4().hex
        files = {"original.png": job_key(job_id, "original.png")}
        await watch.time("create", jobs.create(job_id, PICTURE, files, 3600))
        await watch.time("enqueue", jobs.enqueue(job_id, REQUEST, 1, max_queued=1000, ttl_s=3600))

        async def take_and_begin() -> tuple[Delivery, int]:
            delivery = await queue.take("bench")
            assert delivery is not None
            started = await queue.begin(delivery)
            assert started is not None
            return delivery, started.attempt

        delivery, attempt = await watch.time("take + begin", take_and_begin())
        await watch.time("report", queue.report(job_id, attempt, "decode", 40))
        await watch.time("heartbeat", queue.heartbeat([delivery]))
        made = {f"mask_{i}.png": job_key(job_id, f"mask_{i}.png", attempt) for i in range(4)}
        await watch.time("commit", queue.commit(delivery, attempt, RESULT, made, TIMINGS))
        await watch.time("get (ready job)", jobs.get(job_id))
        await watch.time("delete", jobs.delete(job_id))
    return watch


async def throughput(url: str, count: int, runners: int) -> float:
    """Jobs per second from acceptance to commit, with no work between."""
    connection = RedisConnection(url)
    jobs, queue = RedisJobs(connection), RedisQueue(connection)

    async def feed() -> None:
        async def one() -> None:
            job_id = uuid4().hex
            await jobs.create(job_id, PICTURE, {}, 3600)
            await jobs.enqueue(job_id, REQUEST, 1, max_queued=count, ttl_s=3600)

        for _ in range(0, count, 8):
            await asyncio.gather(*(one() for _ in range(8)))

    async def run(name: str) -> int:
        done = 0
        while (delivery := await queue.take(name, block_ms=500)) is not None:
            started = await queue.begin(delivery)
            assert started is not None
            await queue.commit(delivery, started.attempt, "{}", {})
            done += 1
        return done

    start = time.perf_counter()
    await feed()
    done = await asyncio.gather(*(run(f"runner {i}") for i in range(runners)))
    seconds = time.perf_counter() - start - 0.5  # the last take's wait
    await connection.close()
    assert sum(done) == count
    return count / seconds


def file_times(root: Path, count: int) -> Stopwatch:
    """Synced writes of one megabyte and reads of it."""
    folder, job_id, data = SharedFolder(root), uuid4().hex, bytes(1 << 20)
    folder.make_job(job_id)
    watch = Stopwatch()

    async def run() -> None:
        for i in range(count):
            key = job_key(job_id, f"mask_{i}.png", 1)
            await watch.time("put 1 MB", asyncio.to_thread(folder.put, key, data))
            await watch.time("get 1 MB", asyncio.to_thread(folder.get, key))

    asyncio.run(run())
    folder.delete_job(job_id)
    return watch


async def redis_times(url: str, count: int) -> Stopwatch:
    """Latencies over a connection that is already warm."""
    connection = RedisConnection(url)
    jobs, queue = RedisJobs(connection), RedisQueue(connection)
    await latencies(jobs, queue, 20)
    watch = await latencies(jobs, queue, count)
    await connection.close()
    return watch


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fsync", choices=("always", "everysec"), default="always")
    parser.add_argument("--work-dir", type=Path, default=Path())
    parser.add_argument("--jobs", type=int, default=500)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=asked.work_dir) as work_dir,
        start_redis(work_dir, fsync=asked.fsync) as server,
    ):
        print(f"appendfsync {asked.fsync}")
        print(asyncio.run(redis_times(server.url, asked.jobs)).table())
        for runners in (1, 8, 32):
            speed = asyncio.run(throughput(server.url, asked.jobs // 8 * 8, runners))
            print(f"{runners:>2} runners, no work: {speed:.0f} jobs/s from create to commit")
        print(file_times(Path(work_dir), 50).table())


if __name__ == "__main__":
    main()
