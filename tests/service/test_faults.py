"""Processes are killed with SIGKILL while jobs run; every accepted job still ends `ready`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import httpx
import pytest

from tests.service.pictures import DISC, SQUARE, segment, upload, wait
from trials.service import Service


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)


@pytest.mark.parametrize("deployment", ["JobRunner", "LamaInpainter", "PromptDecoder", "ResultComposer"])
def test_jobs_end_ready_although_a_replica_is_killed(
    api: httpx.Client, service: Service, deployment: str
) -> None:
    jobs = [upload(api)["job_id"] for _ in range(4)]
    until(lambda: service.replicas(deployment), 60, f"{deployment} runs")
    for job_id in jobs:
        segment(api, job_id, coordinates_list=[list(DISC), list(SQUARE)])

    def is_at_work() -> bool:
        stages = [api.get(f"/status/{job_id}").json()["stage"] for job_id in jobs]
        return any(stage not in ("queued", "ready") for stage in stages)

    until(is_at_work, 30, "a job is being processed")
    killed = service.replicas(deployment)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    for job_id in jobs:
        status = wait(api, job_id, seconds=120)
        assert status["status"] == "ready", status
        assert {"cropped_0.png", "cropped_1.png", "full_inpainted.png"} <= set(status["files"])
    until(lambda: service.replicas(deployment) - killed, 60, f"{deployment} is replaced")
