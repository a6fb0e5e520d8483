"""The routes that start work: upload, segment, preview.

Owns what each call does in which order. Reading of bodies, wire models and errors have modules of their own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated

from fastapi import FastAPI, Header, Query, Request
from starlette.responses import JSONResponse, Response

from deployments.http import documents
from deployments.http.accept_upload import accept_upload
from deployments.http.access import OwnJob
from deployments.http.backend import Backend
from deployments.http.callbacks import read_callback, webhook_documentation
from deployments.http.problems import FieldsRefusedError
from deployments.http.prompts import ReadSegment, read_segment, to_prompt
from deployments.http.room import require_room
from deployments.http.schemas import (
    PreviewAnswer,
    PreviewBody,
    SegmentAnswer,
    SegmentBody,
    SegmentQuery,
    UploadAnswer,
)
from deployments.job_request import SegmentRequest
from deployments.messages import PictureRef
from engine.errors import PhotoError
from storage.errors import JobBusy
from storage.files import job_key
from storage.jobs import Job, JobState

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="A repeat returns the first answer.",
    ),
]


def add_workflow(app: FastAPI, backend: Backend) -> None:
    """Add the routes that start work."""
    settings, jobs = backend.settings, backend.jobs

    @app.post(
        "/upload",
        tags=["workflow"],
        responses=documents.refusals(400, 408, 409, 422, 503),
        openapi_extra=documents.UPLOAD_BODY,
    )
    async def upload(request: Request, idempotency_key: IdempotencyKey = None) -> UploadAnswer:
        """Register a picture: JPEG, PNG, WebP, HEIC or AVIF. The first picture of an animation is used."""
        return await accept_upload(backend, request, idempotency_key)

    @app.post(
        "/segment",
        tags=["workflow"],
        responses=documents.refusals(404, 409, 422, 429, 503),
        callbacks=webhook_documentation().routes,
    )
    async def segment(
        job: OwnJob,
        query: Annotated[SegmentQuery, Query()],
        body: SegmentBody | None = None,
        idempotency_key: IdempotencyKey = None,
    ) -> SegmentAnswer:
        """Queue the job: segment each object, cut it out, remove it. A ready job can be segmented again."""
        read = read_segment(
            body,
            query.coordinates_list,
            width=job.picture.width,
            height=job.picture.height,
            max_objects=settings.max_objects,
        )
        callback_url = read_callback(body.callback_url if body else None, settings)
        # A repeat stores nothing: its answer depends on neither the room nor the state the job is in by now.
        repeats = idempotency_key is not None and await jobs.accepted(job.id, idempotency_key)
        if not repeats:
            if job.state is JobState.PROCESSING:
                raise JobBusy("The job is being processed")
            await require_room(backend)
        request = await _with_own_masks(job, read, store=not repeats)
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

    async def _with_own_masks(job: Job, read: ReadSegment, *, store: bool) -> SegmentRequest:
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
                key = job_key(job.id, name)
                if store:
                    key = await backend.take_mask(PictureRef.of(job), name, png)
            except PhotoError as error:
                raise FieldsRefusedError(f"objects.{index}.mask: {error}") from error
            request = request.with_mask(index, key)
        return request

    @app.post(
        "/preview",
        tags=["workflow"],
        responses={
            **documents.refusals(404, 408, 413, 422, 503),
            200: {"model": PreviewAnswer, "content": {"image/png": documents.BINARY}},
        },
        response_model=PreviewAnswer,
    )
    async def preview(request: Request, job: OwnJob, body: PreviewBody) -> Response:
        """The mask for one prompt, at once: as outlines, or as a PNG with `Accept: image/png`."""
        prompt = to_prompt(
            body, width=job.picture.width, height=job.picture.height, normalized=body.normalized
        )
        as_png = "image/png" in request.headers.get("accept", "")
        outline = await backend.preview(PictureRef.of(job), prompt, as_png=as_png)
        if as_png:
            return Response(outline.mask_png, media_type="image/png", headers={"Vary": "Accept"})
        return JSONResponse(dict(outline.fields), headers={"Vary": "Accept"})
