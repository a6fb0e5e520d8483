"""The audit after a trial: is every accepted job where it should be, whole, once, and nothing else.

Owns what is compared: the clients' ledger, the service's answers, Redis and the work folder.
"""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis
from PIL import Image

from storage import redis_keys
from storage.files import is_job_id
from trials.chaos_client import PatientClient
from trials.chaos_load import HEIGHT, WIDTH, Accepted, Ledger
from trials.service import Service

WHOLE_SIZE = ("mask_", "inpainted_", "full_inpainted", "original")
EXPECTED = {"mask_0.png", "cropped_0.png", "inpainted_0.png", "full_inpainted.png", "result.json"}
TOGETHER = 6  # jobs audited at once


@dataclass
class Findings:
    """What is wrong, in words, by kind; empty lists are what was promised. Counts are for the report."""

    lost: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    ready: int = 0
    errors: int = 0
    unanswered_uploads: int = 0
    files_checked: int = 0

    @property
    def all(self) -> list[str]:
        """Everything that is wrong."""
        return [*self.lost, *self.damaged, *self.left_over]


async def audit(service: Service, ledger: Ledger, store: redis.Redis, *, shared: bool = True) -> Findings:
    """Look at everything; the load must have ended, and nothing else have used the service.

    `shared`: whether artifacts are in WORK_DIR; else they are looked at as a client can, only.
    """
    findings = await audit_jobs(service, ledger)
    look_at_store(store, ledger, service.work_dir if shared else None, findings)
    if shared:
        look_at_folder(store, service.work_dir, findings)
    return findings


async def audit_jobs(service: Service, ledger: Ledger) -> Findings:
    """Look at the ledger's jobs and at every file of theirs, as a client can."""
    findings = Findings()
    limit = asyncio.Semaphore(TOGETHER)

    async def look(job: Accepted) -> None:
        async with limit:
            await _look_at_job(client, job, findings)

    async with PatientClient(service.url, ledger.calls) as client:
        await asyncio.gather(*(look(job) for job in ledger.jobs.values() if not job.deleted))
    return findings


async def _look_at_job(client: PatientClient, job: Accepted, findings: Findings) -> None:
    answer = await client.call("GET", f"/status/{job.job_id}")
    if answer.status_code == 404:
        findings.lost.append(f"{job.job_id} is unknown")
        return
    status = answer.json()
    if job.ended is not None and status["status"] != job.ended["status"]:
        findings.lost.append(f"{job.job_id} was {job.ended['status']} and is {status['status']}")
    if not job.segmented:
        return
    if status["status"] == "error":
        findings.errors += 1
        if not status["error"]:
            findings.lost.append(f"{job.job_id} ended as error without a cause")
    elif status["status"] == "ready":
        findings.ready += 1
        if not set(status["files"]) >= EXPECTED:
            findings.damaged.append(f"{job.job_id} has only {status['files']}")
        for name in [*status["files"], "archive.zip"]:
            found = await client.call("GET", f"/download/{job.job_id}/{name}")
            findings.files_checked += 1
            wrong = wrong_with(name, found.content) if found.status_code == 200 else "is not there"
            if wrong:
                findings.damaged.append(f"{job.job_id}/{name} {wrong}")
    else:
        findings.lost.append(f"{job.job_id} is {status['status']}, stage {status['stage']}")


def wrong_with(name: str, data: bytes) -> str:
    """Why an artifact is not whole; empty if it is."""
    try:
        if name.endswith(".json"):
            json.loads(data)
        elif name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if (bad := archive.testzip()) or not set(archive.namelist()) >= EXPECTED:
                    return f"is damaged at {bad}, of {archive.namelist()}"
        else:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                if name.startswith(WHOLE_SIZE) and image.size != (WIDTH, HEIGHT):
                    return f"is {image.size} in size"
    except Exception as error:
        return f"does not decode: {error!r}"
    return ""


def look_at_store(store: redis.Redis, ledger: Ledger, work_dir: Path | None, findings: Findings) -> None:
    """Find jobs without files, jobs nobody asked for, and what the queue of ended jobs should not hold."""
    # Any here and below: redis-py types its answers for all protocols at once.
    client: Any = store
    for name in client.scan_iter(match=redis_keys.JOB + "*"):
        job_id, job = name.removeprefix(redis_keys.JOB), client.hgetall(name)
        if job_id not in ledger.jobs:
            # Its answer was lost with the replica that had it; the client's retry made another.
            findings.unanswered_uploads += 1
            if job["state"] != "uploaded":
                findings.left_over.append(f"{job_id}: a job that no client asked for is {job['state']}")
        folders = set()
        for field_name, key in job.items():
            if field_name.startswith(("file:", "upload:")):
                if work_dir is not None and not (work_dir / key).is_file():
                    findings.damaged.append(f"{job_id}: {key} is recorded and not there")
                if field_name.startswith("file:"):
                    folders.add(Path(key).parent.name)
        if job["state"] == "ready" and folders != {f"a{job['attempt']}"}:
            findings.damaged.append(f"{job_id}: attempt {job['attempt']} has files of {sorted(folders)}")
        if job["state"] == "processing":
            findings.lost.append(f"{job_id} is still processing in the store")
    left = {
        "entries in the queue": client.xlen(redis_keys.QUEUE),
        "jobs in line": client.zcard(redis_keys.WAITING),
        "lanes": sum(1 for _ in client.scan_iter(match=redis_keys.LANE + "*")),
        "tickets": client.hlen(redis_keys.TICKETS),
        "jobs processing": client.scard(redis_keys.STATE + "processing"),
        "pending deliveries": client.xpending(redis_keys.QUEUE, redis_keys.GROUP)["pending"],
    }
    findings.left_over += [f"{count} {what}" for what, count in left.items() if count]


def look_at_folder(store: redis.Redis, work_dir: Path, findings: Findings) -> None:
    """Find files without a job, files of other attempts, and temporary ones."""
    client: Any = store
    for path in work_dir.rglob(".tmp-*"):
        findings.left_over.append(f"temporary file {path.relative_to(work_dir)}")
    for name in (".uploads", ".trash"):
        for path in (work_dir / name).iterdir():
            findings.left_over.append(f"{name}/{path.name}")
    for folder in work_dir.iterdir():
        if not is_job_id(folder.name):
            continue
        job = client.hgetall(redis_keys.JOB + folder.name)
        if not job:
            findings.left_over.append(f"folder {folder.name} without a job")
            continue
        own = {f"a{job['attempt']}"} if job["state"] == "ready" else set()
        others = {path.name for path in folder.iterdir() if path.is_dir()} - own
        if others:
            findings.left_over.append(
                f"{folder.name} ({job['state']}, attempt {job['attempt']}) keeps {sorted(others)}"
            )


def ended_in_store(store: redis.Redis) -> int:
    """Runs that were ended as ready, as the commit itself counts them."""
    client: Any = store
    return int(client.hget(redis_keys.STATS, "finished_ready") or 0)


def open_files(service: Service) -> dict[str, int]:
    """The most file descriptors that any process of each name holds."""
    most: Counter[str] = Counter()
    for process in [service.process, *service.process.children(recursive=True)]:
        try:
            title = (process.cmdline() or [process.name()])[0]
            name = title.split(":")[4].split("#")[0] if title.count(":") >= 4 else title.split()[0]
            most[Path(name).name] = max(most[Path(name).name], process.num_fds())
        except psutil.Error:
            continue
    return dict(most)
