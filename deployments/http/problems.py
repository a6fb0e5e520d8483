"""The one table from errors to HTTP answers.

Owns status codes, the wording of refusals and RFC 9457 problem documents. An error that is not in
the table becomes an opaque 500 that names only the request.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.http.queue_pace import QueuePace
from deployments.http.schemas import FieldProblem, Problem
from engine.errors import MaskTooSmallError, PhotoError, PromptError
from storage.errors import (
    BadKey,
    FileMissing,
    FileStoreUnavailable,
    JobBusy,
    JobNotFound,
    KeyReused,
    OwnerQueueFull,
    QueueFull,
    StoreFull,
    StoreUnavailable,
)

log = logging.getLogger("ray.serve")


class RefusedError(Exception):
    """A request that the HTTP layer itself refuses; the message is the problem's `detail`."""


class UploadRefusedError(RefusedError):
    """The upload is too large, empty or not a multipart form with one `file`."""


class FieldsRefusedError(RefusedError):
    """Fields do not fit the picture or each other; one line each, `field: message`."""


class IdempotencyPendingError(RefusedError):
    """The first request with the same idempotency key has not been answered yet."""


class KeyRefusedError(RefusedError):
    """The request brings no key, or one that is not known."""


class OtherSiteError(RefusedError):
    """A browser sent this for a page of another site, or by a name that is not the service's."""


class RateExceededError(RefusedError):
    """The key has made too many calls; the same one is let through after `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int, headers: Mapping[str, str]) -> None:
        super().__init__(retry_after_s, headers)
        self.retry_after_s = retry_after_s
        self.headers = headers

    def __str__(self) -> str:
        return f"Too many requests with this key: nothing was accepted, try again in {self.retry_after_s} s"


class RangeRefusedError(RefusedError):
    """No part of the range that is asked for lies in the file."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The range lies outside the file of {size} bytes: download from the start")
        self.size = size


class StageUnavailableError(RefusedError):
    """A stage of the DAG is overloaded, restarting or too slow to answer at once."""


# error -> (status, detail or None for the error's own message, Retry-After seconds or None)
TABLE: dict[type[Exception], tuple[int, str | None, int | None]] = {
    JobNotFound: (404, "Job not found", None),
    FileMissing: (404, "File not found", None),
    BadKey: (404, "File not found", None),
    JobBusy: (409, "Job is being processed: wait until it is ready, or delete it and upload again", None),
    IdempotencyPendingError: (
        409,
        "The first request with this Idempotency-Key is still running: repeat it shortly",
        1,
    ),
    KeyReused: (422, "Idempotency-Key: already used for another request, take a fresh one", None),
    KeyRefusedError: (401, None, None),
    OtherSiteError: (403, None, None),
    RateExceededError: (429, None, None),
    UploadRefusedError: (400, None, None),
    PhotoError: (400, None, None),
    FieldsRefusedError: (422, None, None),
    PromptError: (422, None, None),
    MaskTooSmallError: (422, None, None),
    OwnerQueueFull: (
        429,
        "As many of your jobs wait as one key may have waiting: nothing was accepted, try again later",
        5,
    ),
    QueueFull: (503, "The queue is full: nothing was accepted, try again later", 5),
    StoreUnavailable: (503, "The job store is unreachable or full: nothing was accepted, try again later", 5),
    StoreFull: (503, "The artifact store is full: nothing was accepted, try again later", 60),
    FileStoreUnavailable: (
        503,
        "The artifact store is unreachable: nothing was accepted, try again later",
        5,
    ),
    RangeRefusedError: (416, None, None),
    StageUnavailableError: (503, None, 2),
}


def problem(
    request: Request, status: int, detail: str, *, errors: list[FieldProblem] | None = None
) -> Response:
    """One problem document as `application/problem+json`."""
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        request_id=getattr(request.state, "request_id", None),
        errors=errors,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True), status_code=status, media_type="application/problem+json"
    )


async def _answer_known(request: Request, error: Exception) -> Response:
    status, detail, retry_after = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    text = detail or str(error)
    if isinstance(error, (PhotoError, UploadRefusedError)) and request.url.path == "/upload":
        text = f"Upload failed: {text}"
    errors = None
    if status == 422:
        field, _, message = text.partition(": ")
        errors = [FieldProblem(field=field, message=message)] if message else None
    response = problem(request, status, text, errors=errors)
    if isinstance(error, KeyRefusedError):
        response.headers["WWW-Authenticate"] = 'Bearer realm="tapcut"'
    if isinstance(error, RateExceededError):
        retry_after = error.retry_after_s
        response.headers.update(error.headers)
    if isinstance(error, RangeRefusedError):
        response.headers["Content-Range"] = f"bytes */{error.size}"
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


async def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = []
    for item in error.errors():
        where = [str(part) for part in item["loc"] if part not in ("body", "query", "path", "header")]
        message = _plain(item["type"], item["msg"])
        errors.append(FieldProblem(field=".".join(where) or str(item["loc"][0]), message=message))
    detail = "; ".join(f"{entry.field}: {entry.message}" for entry in errors[:5])
    return problem(request, 422, detail, errors=errors[:50])


def _plain(kind: str, message: str) -> str:
    """Pydantic's words without Python's."""
    if kind == "extra_forbidden":
        return "unknown field"
    for word, plain in (("Value error, ", ""), ("Tuple should", "it should"), (" after validation", "")):
        message = message.replace(word, plain)
    return message


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:
        # FastAPI's answer to a body that is not even text; what is no JSON is a 422, and so is this.
        message = "not JSON in UTF-8"
        return problem(request, 422, f"body: {message}", errors=[FieldProblem(field="body", message=message)])
    details = {404: "No such address: GET / lists the calls", 405: f"{request.method} is not allowed here"}
    detail = (
        error.detail
        if error.detail != HTTPStatus(error.status_code).phrase
        else details.get(error.status_code, error.detail)
    )
    response = problem(request, error.status_code, detail)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


async def _answer_unknown(request: Request, error: Exception) -> Response:
    request_id = getattr(request.state, "request_id", None)
    log.error(
        "unexpected error", exc_info=error, extra={"path": request.url.path, "http_request": request_id}
    )
    return problem(request, 500, f"Internal error: quote request {request_id} when you report it")


class ErrorAnswers:
    """Answers what the middleware inside it raises, and whatever no route expected, by the table.

    Inside the middleware that adds headers, so that a 500, too, has them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        begun = False

        async def watched_send(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            known = any(kind in TABLE for kind in type(error).__mro__)
            request = Request(scope)
            answer = await (_answer_known if known else _answer_unknown)(request, error)
            await answer(scope, receive, send)


def install(app: FastAPI, queue_pace: QueuePace) -> None:
    """Answer every error of `app` by the table; `queue_pace` says how long a full queue stays full."""

    async def answer_queue_full(request: Request, error: Exception) -> Response:
        response = await _answer_known(request, error)
        with suppress(StoreUnavailable):
            response.headers["Retry-After"] = str(await queue_pace.retry_after_s())
        return response

    for kind in TABLE:
        app.add_exception_handler(kind, _answer_known)
    app.add_exception_handler(QueueFull, answer_queue_full)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_middleware(ErrorAnswers)
