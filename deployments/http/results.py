"""The routes that follow a job and end it: status, events, download, cleanup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from deployments.http import documents
from deployments.http.access import OwnJob
from deployments.http.backend import Backend
from deployments.http.downloads import send_file
from deployments.http.events import EVENT_DOCUMENTATION, stream_events
from deployments.http.places import Places
from deployments.http.schemas import CleanupAnswer, JobId, StatusAnswer
from deployments.http.status import status_of
from storage.errors import JobNotFound
from storage.sweeper import remove_job

FOLLOWERS = 192  # event streams of one replica: each keeps a request of it, and others need some too


def add_results(app: FastAPI, backend: Backend) -> None:
    """Add the routes that follow a job and end it."""
    work_dir_name = Path(backend.settings.work_dir).name
    followers = Places(FOLLOWERS, "event streams")

    @app.get("/status/{job_id}", tags=["workflow"], responses=documents.refusals(404, 503))
    async def status(job_id: JobId, job: OwnJob) -> StatusAnswer:
        """Progress, results so far, or the cause of an error."""
        return status_of(job, work_dir_name)

    @app.get(
        "/events/{job_id}",
        tags=["workflow"],
        response_class=Response,
        responses={**documents.refusals(404, 503), **EVENT_DOCUMENTATION},
    )
    async def events(job_id: JobId, job: OwnJob) -> Response:
        """The same as `/status`, as server-sent events on every change, until the job ends."""
        return stream_events(backend, job.id, job.owner, work_dir_name, followers)

    described: dict[str, Any] = {
        "tags": ["workflow"],
        "response_class": Response,
        "responses": {**documents.refusals(404, 416, 503), **documents.FILE_ANSWERS},
    }

    @app.head("/download/{job_id}/{filename}", operation_id="download_head", **described)
    @app.get("/download/{job_id}/{filename}", **described)
    async def download(job_id: JobId, job: OwnJob, filename: str) -> Response:
        """One artifact; `archive.zip` is all of them. Resumable by `Range`."""
        return await send_file(backend, job, filename)

    @app.delete("/cleanup/{job_id}", tags=["workflow"], responses=documents.refusals(404, 503))
    async def cleanup(job_id: JobId, job: OwnJob) -> CleanupAnswer:
        """Purge the job and its files, at any moment; a running job stops at its next stage."""
        if not await remove_job(backend.jobs, backend.files, job.id):
            raise JobNotFound("Job not found")
        return CleanupAnswer(status="deleted", job_id=job.id)
