"""Faults that last for a while: a runner that stalls, a poison job, a redeploy, a full disk, a full Redis.

Owns what has to hold while they last; what does not is a `FaultFailedError`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import yaml

from storage import redis_keys
from trials.chaos_client import PatientClient
from trials.chaos_load import picture
from trials.chaos_scene import FaultFailedError, Scene, quiet

MANY = 8  # objects of a job that has to last for a moment
FULL_S = 6.0  # how long the disk or Redis stays full
REPLACED_WITHIN_S = 150.0
POISON_WITHIN_S = 90.0


async def stall_runner(scene: Scene) -> float:
    """Stop a runner until another has its job, then let it wake: it must not commit.

    No other jobs run meanwhile: Ray's stages wait with their answer for the one who asked, so a
    stopped runner keeps whoever needs the same stage waiting (see the fault "hang").
    """
    await quiet(scene)
    async with PatientClient(scene.service.url, scene.load.ledger.calls) as client:
        job = await scene.load.upload(client)
        await scene.load.segment(client, job, objects=MANY)
        pid = await _holder(scene, job.job_id)
        os.kill(pid, signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            attempt = scene.job(job.job_id)["attempt"]
            while scene.job(job.job_id)["attempt"] == attempt:
                if time.monotonic() - stopped > scene.lease_s + 5:
                    raise FaultFailedError(
                        "a stalled runner's job was not taken over within 5 s of its lease"
                    )
                await asyncio.sleep(0.02)
            took_s = time.monotonic() - stopped
        finally:
            os.kill(pid, signal.SIGCONT)
        await scene.load.wait(client, job)
    scene.load.go_on()
    ended = scene.job(job.job_id)
    if not job.ended or job.ended["status"] != "ready" or int(ended["attempt"]) <= int(attempt):
        raise FaultFailedError(
            f"the job of a stalled runner ended as {job.ended}, attempt {ended['attempt']}"
        )
    if took_s < scene.lease_s / 2:
        raise FaultFailedError(f"a lease of {scene.lease_s:g} s was taken over after {took_s:.1f} s")
    return stopped


async def hang_runner(scene: Scene) -> float:
    """Stop a busy runner for good: its health check finds it, and it is replaced."""
    pid = await _holder(scene, None)
    os.kill(pid, signal.SIGSTOP)
    return time.monotonic()


async def _holder(scene: Scene, job_id: str | None) -> int:
    """The runner that has this job, or any."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for pid, held in scene.holders().items():
            if (job_id is None or job_id in held) and pid in scene.service.replicas("JobRunner"):
                return pid
        await asyncio.sleep(0.01)
    raise FaultFailedError(f"no runner held {job_id or 'a job'} within 30 s")


async def poison(scene: Scene) -> float:
    """A job whose runner dies each time it is begun: put aside as `error` after its last try."""
    await quiet(scene)
    dead_before = int(scene.store.xlen(redis_keys.DEAD))
    async with PatientClient(scene.service.url, scene.load.ledger.calls) as client:
        job = await scene.load.upload(client)
        await scene.load.segment(client, job, objects=MANY)
        killed, killed_attempt, deadline = 0, "0", time.monotonic() + POISON_WITHIN_S
        while (now := scene.job(job.job_id))["state"] == "processing":
            if now["stage"] != "queued" and now["attempt"] != killed_attempt:
                holder = next((pid for pid, ids in scene.holders().items() if job.job_id in ids), None)
                if holder is not None:
                    with suppress(ProcessLookupError):
                        os.kill(holder, signal.SIGKILL)
                        killed, killed_attempt, last = killed + 1, now["attempt"], time.monotonic()
            if time.monotonic() > deadline:
                raise FaultFailedError(f"a poison job goes on after {killed} killed runners")
            await asyncio.sleep(0.01)
        ended = scene.job(job.job_id)
        if ended["state"] != "error" or killed != 3:
            raise FaultFailedError(f"a poison job ended as {ended['state']} after {killed} killed runners")
        if int(scene.store.xlen(redis_keys.DEAD)) != dead_before + 1:
            raise FaultFailedError("a poison job left no dead letter")
        job.ended = (await client.call("GET", f"/status/{job.job_id}")).json()
        if "given up" not in (job.ended.get("error") or ""):
            raise FaultFailedError(f"a poison job's error does not say so: {job.ended.get('error')}")
    scene.load.go_on()
    return last


async def redeploy(scene: Scene) -> float:
    """Change a setting and reload: every replica is replaced while the load goes on."""
    config = yaml.safe_load(scene.config.read_text())
    arguments = config["applications"][0]["args"]
    arguments["LOG_LEVEL"] = "warning" if arguments.get("LOG_LEVEL", "info") == "info" else "info"
    scene.config.write_text(yaml.safe_dump(config))
    names = [one["name"] for one in config["applications"][0]["deployments"]]
    before = {name: scene.service.replicas(name) for name in names}
    counts = {name: len(pids) for name, pids in before.items()}
    os.kill(scene.service.process.pid, signal.SIGHUP)
    deadline = time.monotonic() + REPLACED_WITHIN_S
    left = dict(before)
    while left:
        await asyncio.sleep(0.5)
        for name in list(left):
            now = scene.service.replicas(name)
            if not now & before[name] and len(now) >= counts[name]:
                del left[name]
        if time.monotonic() > deadline:
            raise FaultFailedError(f"not replaced within {REPLACED_WITHIN_S:g} s: {sorted(left)}")
    return time.monotonic()


async def fill_disk(scene: Scene) -> float:
    """Fill the volume of WORK_DIR to the last byte for a while; new work has to be refused."""
    volume = scene.service.work_dir.parent
    if not volume.is_mount():
        raise FaultFailedError("WORK_DIR is not on a volume of its own (run as root to mount one)")
    filler = volume / "filler"
    try:
        await asyncio.to_thread(_fill, filler)
        await _refused(scene, "the disk is full", lambda: _fill(filler))
    finally:
        filler.unlink(missing_ok=True)
    return time.monotonic()


async def fill_redis(scene: Scene) -> float:
    """Let Redis reach its memory limit for a while; new work has to be refused, old work has to end."""
    memory: Any = scene.store.info("memory")
    scene.store.config_set("maxmemory", int(memory["used_memory"]) - 1_000_000)
    try:
        await _refused(scene, "Redis is full", lambda: None)
    finally:
        scene.store.config_set("maxmemory", 0)
    return time.monotonic()


async def delete_jobs(scene: Scene) -> float:
    """Delete jobs while they are processed; neither a file nor a key is left."""
    started = time.monotonic()
    jobs = await asyncio.gather(*(scene.load.one_job(delete=True) for _ in range(8)))
    await asyncio.sleep(3.0)
    for job in jobs:
        if (scene.service.work_dir / job.job_id).exists():
            raise FaultFailedError(f"files of deleted job {job.job_id} are left")
        keys: Any = scene.store.keys(f"*{job.job_id}*")
        if keys:
            raise FaultFailedError(f"keys of deleted job {job.job_id} are left: {keys}")
    return started


def _fill(path: Path) -> None:
    piece = b"\0" * (1 << 16)
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(piece)


async def _refused(scene: Scene, what: str, keep_up: Callable[[], None]) -> None:
    """For `FULL_S`: every upload is refused as a client can bear it, at least once in all."""
    refused, until = 0, time.monotonic() + FULL_S
    async with httpx.AsyncClient(base_url=scene.service.url, timeout=20) as http:
        while time.monotonic() < until:
            await asyncio.to_thread(keep_up)
            answer = await http.post("/upload", files={"file": ("photo.png", picture(7))})
            if answer.status_code == 503 and "retry-after" in answer.headers:
                refused += 1
            elif answer.status_code >= 400:
                text = f"while {what}, /upload answered {answer.status_code} {answer.text[:200]}"
                scene.load.ledger.calls.failures.append(text)
            elif answer.is_success:
                await http.delete(f"/cleanup/{answer.json()['job_id']}")
            await asyncio.sleep(0.3)
    if not refused:
        raise FaultFailedError(f"while {what}, no upload was refused")
