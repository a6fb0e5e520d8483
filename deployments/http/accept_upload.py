"""Acceptance of an upload: from a request to a recorded job.

Owns the order of the checks, the idempotency key's part in it, and that nothing is left of what was refused.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import replace

from fastapi import Request

from deployments.http.access import owner_of, tenants_digest
from deployments.http.backend import Backend
from deployments.http.idempotency import HOLD_S, kept_reserved
from deployments.http.problems import IdempotencyPendingError
from deployments.http.room import require_room
from deployments.http.schemas import UploadAnswer
from deployments.http.status import iso_time
from deployments.http.upload import receive_file
from storage.errors import FileStoreError, QueueFull
from storage.files import FileStore
from storage.jobs import Picture, ReservationState

log = logging.getLogger("ray.serve")


async def accept_upload(backend: Backend, request: Request, idempotency_key: str | None) -> UploadAnswer:
    """Register the request's picture; a repeat of the key gets the first answer.

    Raises:
        IdempotencyPendingError: the first request with the key is still running.
        QueueFull: a job on the picture could not be queued now.
        UploadRefusedError: the body is no form with one file, or too large.
        PhotoError: it is not a picture that can be worked on.
        StoreFull: there is no room.
        FileStoreUnavailable: the artifact store is away.
    """
    if idempotency_key is None:
        return await _accept(backend, request)
    jobs, owner = backend.jobs, owner_of(request)
    reservation = await jobs.reserve(idempotency_key, owner, HOLD_S)
    if reservation.state is ReservationState.DONE:
        return UploadAnswer.model_validate_json(reservation.answer or "")
    if reservation.state is ReservationState.PENDING:
        raise IdempotencyPendingError
    try:
        async with kept_reserved(jobs, idempotency_key, owner, reservation.token):
            answer = await _accept(backend, request)
    except BaseException:
        await asyncio.shield(jobs.release(idempotency_key, owner, reservation.token))
        raise
    await jobs.complete(
        idempotency_key, owner, reservation.token, answer.model_dump_json(), backend.settings.job_ttl_s
    )
    return answer


async def _accept(backend: Backend, request: Request) -> UploadAnswer:
    settings, jobs, owner = backend.settings, backend.jobs, owner_of(request)
    backend.require_intake()
    # A store that is down, and a queue that would not take the job, must refuse at once, not after 50 MB.
    if await jobs.ping() >= settings.max_queued_jobs:
        raise QueueFull("The queue is full")
    await asyncio.to_thread(backend.files.ping)
    await require_room(backend)
    job_id = secrets.token_hex(16)
    upload = backend.files.new_upload()
    try:
        await receive_file(request, upload, max_bytes=int(settings.max_upload_mb * 1_000_000))
        taken = await backend.take_in(job_id, upload)
        ref = replace(taken.picture, digest=tenants_digest(owner, taken.picture.digest))
        picture = Picture(
            digest=ref.digest,
            width=ref.width,
            height=ref.height,
            uploaded_width=taken.uploaded_width,
            uploaded_height=taken.uploaded_height,
            format=taken.format,
            notes=taken.notes,
        )
        job = await jobs.create(
            job_id, picture, {"original.png": ref.key}, ttl_s=settings.job_ttl_s, owner=owner
        )
    except BaseException:
        await asyncio.shield(asyncio.to_thread(_discard_job, backend.files, job_id))
        raise
    finally:
        await asyncio.shield(asyncio.to_thread(backend.files.discard_upload, upload))
    backend.encode_ahead(ref)
    return UploadAnswer(
        job_id=job_id,
        status="uploaded",
        message="Image uploaded. Send coordinates to segment.",
        width=picture.width,
        height=picture.height,
        uploaded_width=picture.uploaded_width,
        uploaded_height=picture.uploaded_height,
        expires_at=iso_time(job.expires_at),
        notes=list(picture.notes),
    )


def _discard_job(files: FileStore, job_id: str) -> None:
    try:
        files.delete_job(job_id)
    except FileStoreError as error:  # the client is told of the first error; the sweep finds the files
        log.warning("files of a refused upload are left: %s", error, extra={"tapcut_job": job_id})
