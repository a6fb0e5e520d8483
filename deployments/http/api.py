"""The HTTP API: routes, in the order of the contract.

Owns addresses, methods and what each call does in which order. Reading of uploads, wire models,
errors, events and downloads have modules of their own.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response

from deployments.http import documents, problems
from deployments.http.access import AccessGuard, OwnJob, is_keyed, job_route, owner_of, tenants_digest
from deployments.http.backend import Backend
from deployments.http.callbacks import read_callback, webhook_documentation
from deployments.http.downloads import send_file
from deployments.http.edge import Edge, EdgeLimits
from deployments.http.events import EVENT_DOCUMENTATION, stream_events
from deployments.http.health import check_health
from deployments.http.idempotency import HOLD_S, kept_reserved
from deployments.http.keys import KeyRing, parse_keys
from deployments.http.metrics import render_metrics
from deployments.http.middleware import RequestContext
from deployments.http.other_sites import OtherSites
from deployments.http.places import Places
from deployments.http.problems import FieldsRefusedError, IdempotencyPendingError
from deployments.http.prompts import ReadSegment, read_segment, to_prompt
from deployments.http.queue_pace import QueuePace
from deployments.http.room import require_room
from deployments.http.schemas import (
    CleanupAnswer,
    HealthAnswer,
    HealthVerdict,
    JobId,
    PreviewAnswer,
    PreviewBody,
    SegmentAnswer,
    SegmentBody,
    SegmentQuery,
    StatusAnswer,
    UploadAnswer,
)
from deployments.http.status import iso_time, status_of
from deployments.http.upload import receive_file
from deployments.job_request import SegmentRequest
from deployments.messages import PictureRef
from engine.errors import PhotoError
from storage.errors import JobNotFound, QueueFull
from storage.jobs import Job, Picture, ReservationState
from storage.sweeper import remove_job

VERSION = "0.1.0"
FOLLOWERS = 192  # event streams of one replica: each keeps a request of it, and others need some too

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="A repeat returns the first answer.",
    ),
]

CORS_OF_EACH: dict[str, Any] = {
    "allow_methods": ["GET", "HEAD", "POST", "DELETE"],
    "allow_headers": [
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-None-Match",
        "If-Range",
        "Range",
        "X-Request-ID",
    ],
    "expose_headers": [
        "Accept-Ranges",
        "Content-Disposition",
        "Content-Range",
        "ETag",
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
        "WWW-Authenticate",
        "X-Request-ID",
    ],
    "max_age": 600,
}


def _refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    meaning = {
        400: "Not a picture that can be worked on; `detail` says why.",
        404: "Unknown, expired or deleted job, or unknown file.",
        408: "The body came too slowly.",
        409: "The job is being processed.",
        413: "The body is larger than MAX_JSON_MB.",
        429: "Over what one key may ask for: nothing was accepted; see `Retry-After`.",
        416: "The requested range lies outside the file.",
        422: "A field is unknown, malformed or does not fit the picture; `errors` names each.",
        503: "Queue full, or a part of the service is down: nothing was accepted; see `Retry-After`.",
    }
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    retry = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}
    return {
        code: {
            "description": meaning[code],
            "content": schema,
            **({"headers": retry} if code in (429, 503) else {}),
        }
        for code in codes
    }


def create_api(backend: Backend) -> FastAPI:
    """The whole API over `backend`."""
    app = FastAPI(
        title="tapcut",
        version=VERSION,
        summary="Tap an object in a photo: get it cut out, or get the photo back without it.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        generate_unique_id_function=lambda route: route.name,
    )
    settings = backend.settings
    keys = KeyRing(parse_keys(settings.api_keys))
    app.router.route_class = job_route(backend.jobs)
    # The last added is the outermost.
    app.add_middleware(
        AccessGuard,
        keys=keys,
        limiter=backend.rates,
        per_minute=settings.rate_per_minute,
        burst=settings.rate_burst,
    )
    app.add_middleware(OtherSites, allowed_hosts=settings.allowed_hosts, cors_origins=settings.cors_origins)
    problems.install(app, QueuePace(backend.jobs, settings.max_queued_jobs))
    if settings.cors_origins:
        # A preflight carries no key, so it is answered outside the guard.
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins.split(","), **CORS_OF_EACH)
    app.add_middleware(RequestContext)
    app.add_middleware(Edge, limits=EdgeLimits.of(settings), at_socket=False)
    documents.install(app, needs_key=bool(keys))
    _add_workflow(app, backend)
    _add_results(app, backend)
    _add_operations(app, backend)
    return app


def picture_ref(job: Job) -> PictureRef:
    """Where the picture of `job` is."""
    return PictureRef(
        job_id=job.id,
        key=job.files["original.png"],
        digest=job.picture.digest,
        width=job.picture.width,
        height=job.picture.height,
    )


def _add_workflow(app: FastAPI, backend: Backend) -> None:
    settings, jobs = backend.settings, backend.jobs

    @app.post(
        "/upload",
        tags=["workflow"],
        responses=_refusals(400, 408, 409, 422, 503),
        openapi_extra=documents.UPLOAD_BODY,
    )
    async def upload(request: Request, idempotency_key: IdempotencyKey = None) -> UploadAnswer:
        """Register a picture: JPEG, PNG, WebP, HEIC or AVIF. The first picture of an animation is used."""
        if idempotency_key is None:
            return await _accept_upload(request)
        owner = owner_of(request)
        reservation = await jobs.reserve(idempotency_key, owner, HOLD_S)
        if reservation.state is ReservationState.DONE:
            return UploadAnswer.model_validate_json(reservation.answer or "")
        if reservation.state is ReservationState.PENDING:
            raise IdempotencyPendingError
        try:
            async with kept_reserved(jobs, idempotency_key, owner, reservation.token):
                answer = await _accept_upload(request)
        except BaseException:
            await asyncio.shield(jobs.release(idempotency_key, owner, reservation.token))
            raise
        await jobs.complete(
            idempotency_key, owner, reservation.token, answer.model_dump_json(), settings.job_ttl_s
        )
        return answer

    async def _accept_upload(request: Request) -> UploadAnswer:
        owner = owner_of(request)
        backend.require_intake()
        # A store that is down, and a queue that would not take the job, must refuse at once, not after 50 MB.
        if await jobs.ping() >= settings.max_queued_jobs:
            raise QueueFull("The queue is full")
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
            await asyncio.shield(asyncio.to_thread(backend.files.delete_job, job_id))
            raise
        finally:
            await asyncio.shield(asyncio.to_thread(upload.unlink, missing_ok=True))
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

    @app.post(
        "/segment",
        tags=["workflow"],
        responses=_refusals(404, 409, 422, 429, 503),
        callbacks=webhook_documentation().routes,
    )
    async def segment(
        job: OwnJob,
        query: Annotated[SegmentQuery, Query()],
        body: SegmentBody | None = None,
        idempotency_key: IdempotencyKey = None,
    ) -> SegmentAnswer:
        """Queue the job: segment each object, cut it out, remove it. A ready job can be segmented again."""
        await require_room(backend)
        read = read_segment(
            body,
            query.coordinates_list,
            width=job.picture.width,
            height=job.picture.height,
            max_objects=settings.max_objects,
        )
        callback_url = read_callback(body.callback_url if body else None, settings)
        request = await _store_own_masks(job, read)
        accepted = await jobs.enqueue(
            job.id,
            request.to_json(),
            len(request.objects),
            max_queued=settings.max_queued_jobs,
            max_queued_of_owner=settings.max_queued_jobs_per_key if job.owner else None,
            ttl_s=settings.job_ttl_s,
            idempotency_key=idempotency_key,
            callback_url=callback_url,
        )
        count = accepted.num_objects  # of the first call, when this one repeats it
        message = f"Segmenting {count} object{'' if count == 1 else 's'}..."
        return SegmentAnswer(job_id=job.id, status="processing", message=message)

    async def _store_own_masks(job: Job, read: ReadSegment) -> SegmentRequest:
        request = read.request
        for index, encoded in read.own_masks.items():
            try:
                png = base64.b64decode(encoded.removeprefix("data:image/png;base64,"), validate=True)
            except (binascii.Error, ValueError) as error:
                raise FieldsRefusedError(f"objects.{index}.mask: not base64") from error
            name = (
                f"given-{hashlib.sha256(png).hexdigest()[:32]}.png"  # a repeated call makes the same request
            )
            try:
                key = await backend.take_mask(picture_ref(job), name, png)
            except PhotoError as error:
                raise FieldsRefusedError(f"objects.{index}.mask: {error}") from error
            request = request.with_mask(index, key)
        return request

    @app.post(
        "/preview",
        tags=["workflow"],
        responses={
            **_refusals(404, 408, 413, 422, 503),
            200: {"model": PreviewAnswer, "content": {"image/png": {}}},
        },
        response_model=PreviewAnswer,
    )
    async def preview(request: Request, job: OwnJob, body: PreviewBody) -> Response:
        """The mask for one prompt, at once: as outlines, or as a PNG with `Accept: image/png`."""
        prompt = to_prompt(
            body, width=job.picture.width, height=job.picture.height, normalized=body.normalized
        )
        outline = await backend.preview(picture_ref(job), prompt)
        if "image/png" in request.headers.get("accept", ""):
            return Response(outline.mask_png, media_type="image/png", headers={"Vary": "Accept"})
        return JSONResponse(dict(outline.fields), headers={"Vary": "Accept"})


def _add_results(app: FastAPI, backend: Backend) -> None:
    work_dir_name = Path(backend.settings.work_dir).name
    followers = Places(FOLLOWERS, "event streams")

    @app.get("/status/{job_id}", tags=["workflow"], responses=_refusals(404, 503))
    async def status(job_id: JobId, job: OwnJob) -> StatusAnswer:
        """Progress, results so far, or the cause of an error."""
        return status_of(job, work_dir_name)

    @app.get("/events/{job_id}", tags=["workflow"], responses={**_refusals(404, 503), **EVENT_DOCUMENTATION})
    async def events(job_id: JobId, job: OwnJob) -> Response:
        """The same as `/status`, as server-sent events on every change, until the job ends."""
        return stream_events(backend, job.id, work_dir_name, followers)

    described: dict[str, Any] = {
        "tags": ["workflow"],
        "response_class": Response,
        "responses": {**_refusals(404, 416, 503), **documents.FILE_ANSWERS},
    }

    @app.head("/download/{job_id}/{filename}", operation_id="download_head", **described)
    @app.get("/download/{job_id}/{filename}", **described)
    async def download(job_id: JobId, job: OwnJob, filename: str) -> Response:
        """One artifact; `archive.zip` is all of them. Resumable by `Range`."""
        return await send_file(backend, job, filename)

    @app.delete("/cleanup/{job_id}", tags=["workflow"], responses=_refusals(404, 503))
    async def cleanup(job_id: JobId, job: OwnJob) -> CleanupAnswer:
        """Purge the job and its files, at any moment; a running job stops at its next stage."""
        if not await remove_job(backend.jobs, backend.files, job.id):
            raise JobNotFound("Job not found")
        return CleanupAnswer(status="deleted", job_id=job.id)


def _add_operations(app: FastAPI, backend: Backend) -> None:
    @app.get("/", tags=["operations"])
    async def guide() -> dict[str, Any]:
        """What this service does and how to call it."""
        return documents.GUIDE | ({"key": documents.KEY_ADVICE} if backend.settings.api_keys else {})

    @app.get(
        "/health",
        tags=["operations"],
        responses={503: {"model": HealthAnswer | HealthVerdict, "description": "Not ready."}},
    )
    async def health(request: Request, response: Response) -> HealthAnswer | HealthVerdict:
        """Device, networks, checkpoints, Redis and queue; 503 while the service cannot take jobs.

        Where the service has keys and the request has none: `status` alone.
        """
        found = await check_health(backend, VERSION)
        response.status_code = 200 if found.status == "ok" else 503
        return found if is_keyed(request) else HealthVerdict(status=found.status)

    @app.get("/metrics", tags=["operations"], response_class=Response, responses=documents.METRICS_ANSWER)
    async def metrics() -> Response:
        """Jobs by state, queue depth, seconds and batch sizes by stage, for Prometheus."""
        return Response(
            render_metrics(await backend.jobs.metrics()),
            media_type="text/plain; version=0.0.4; charset=utf-8",
        )
