"""Do the runners follow the queue? `python -m trials.backlog` shows it.

Real runners, Redis and Ray; the stages are gates that a job passes when it is let. Prints one line of JSON
for each step: jobs that have not ended, runners, and at the end what became of every job.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from trials.logical_cluster import logical_cluster, poll

JOBS, AT_ONCE, MOST_RUNNERS = 6, 2, 3
SCALING: dict[str, Any] = {
    "policy": {"policy_function": "deployments.scaling:runners_for_backlog"},
    "min_replicas": 1,
    "max_replicas": MOST_RUNNERS,
    "target_ongoing_requests": AT_ONCE,
    "metrics_interval_s": 0.3,
    "look_back_period_s": 1,
    "upscale_delay_s": 0,
    "downscale_delay_s": 0.5,
}


def main() -> int:
    """Grow, shrink with jobs in hand, end. Answers the exit code."""
    from storage.redis_server import start_redis

    with tempfile.TemporaryDirectory(prefix="tapcut-backlog-") as folder:
        work_dir = Path(folder)
        with start_redis(work_dir, fsync="everysec") as redis, logical_cluster() as cluster:
            cluster.add("node", cpus=8)
            ended = _follow(redis.url, work_dir)
    return int(ended != JOBS)


def _follow(redis_url: str, work_dir: Path) -> int:
    from ray import serve

    from deployments import job_runner
    from deployments.job_walk import Stages
    from settings import read_settings
    from trials import gated_stages

    # Any: Serve's decorator makes a class into a deployment, which types do not tell.
    runner: Any = job_runner.JobRunner
    gated: Any = gated_stages.GatedStages
    gates, began = work_dir / "gates", time.monotonic()
    gates.mkdir()
    settings = read_settings({"REDIS_URL": redis_url, "WORK_DIR": str(work_dir), "LEASE_S": 2})
    stage = gated.bind(str(gates))
    serve.run(
        runner.options(
            user_config={"concurrent_jobs": AT_ONCE},
            ray_actor_options={"num_cpus": 0.1},
            graceful_shutdown_timeout_s=30,
            autoscaling_config=SCALING,
        ).bind(settings, Stages(stage, stage, stage, stage, stage)),
        name="backlog",
        route_prefix=None,
    )

    def runners(*states: str) -> int:
        counts = serve.status().applications["backlog"].deployments["JobRunner"].replica_states
        return sum(count for state, count in counts.items() if str(state) in states)

    def tell(jobs: int, **more: object) -> None:
        told = {"s": round(time.monotonic() - began, 1), "jobs": jobs, "runners": runners("RUNNING"), **more}
        print(json.dumps(told), flush=True)

    def let(some: list[str]) -> None:
        for job_id in some:
            (gates / job_id).touch()

    tell(0)
    ids = asyncio.run(_enqueue(redis_url, work_dir))
    poll(lambda: runners("RUNNING") == MOST_RUNNERS)
    tell(JOBS)
    let(ids[:-AT_ONCE])
    # What is left is enough for one runner; whoever is told to go may have a job in hand.
    poll(lambda: runners("RUNNING") == 1)
    tell(AT_ONCE, leaving=runners("STOPPING"))
    let(ids[-AT_ONCE:])
    poll(lambda: runners("RUNNING") == runners("RUNNING", "STOPPING", "STARTING") == 1)
    ends = asyncio.run(_ends(redis_url, ids))
    tell(0, ends=ends)
    return ends.count(["ready", 1])


async def _enqueue(redis_url: str, work_dir: Path) -> list[str]:
    from deployments.job_request import ObjectRequest, SegmentRequest
    from storage.jobs import Picture
    from storage.redis_connection import RedisConnection
    from storage.redis_jobs import RedisJobs
    from storage.shared_folder import SharedFolder

    connection, files = RedisConnection(redis_url), SharedFolder(work_dir)
    jobs = RedisJobs(connection)
    # The client's own mask, so that neither encoder nor decoder is asked.
    request = SegmentRequest((ObjectRequest((), (), None, "mask"),), ("masks",), None, None, "png").to_json()
    ids = [uuid4().hex for _ in range(JOBS)]
    for job_id in ids:
        files.make_job(job_id)
        picture = Picture("d" * 64, 64, 48, 64, 48, "png")
        await jobs.create(job_id, picture, {"original.png": f"{job_id}/original.png"}, 600)
        await jobs.enqueue(job_id, request, 1, max_queued=100, ttl_s=600)
    await connection.close()
    return ids


async def _ends(redis_url: str, ids: list[str]) -> list[list[str | int]]:
    from storage.redis_connection import RedisConnection
    from storage.redis_jobs import RedisJobs

    connection = RedisConnection(redis_url)
    jobs = [await RedisJobs(connection).get(job_id) for job_id in ids]
    await connection.close()
    return [[str(job.state), job.tries] for job in jobs]


if __name__ == "__main__":
    sys.exit(main())
