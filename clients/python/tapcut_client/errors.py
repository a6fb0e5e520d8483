"""The client's one tree of errors.

Owns what a caller can catch. `error_of` is the one place that turns an answer into an error.
"""

from __future__ import annotations

import json
from typing import Any

from tapcut_client.steps import Reply


class TapcutError(Exception):
    """Base of all errors that this package raises on purpose."""


class BadAddress(TapcutError):
    """The service's address is none."""


class ConnectionFailed(TapcutError):
    """The service could not be reached, or the connection broke, and trying again did not help."""


class DownloadBroken(TapcutError):
    """A download kept breaking off before its end; what has arrived is kept for the next try."""


class WaitTimeout(TapcutError):
    """The job did not end within the time given; it goes on at the service."""


class JobFailed(TapcutError):
    """The job ended as `error`; the message is the service's."""

    def __init__(self, message: str, job_id: str) -> None:
        super().__init__(message, job_id)
        self.message = message
        self.job_id = job_id

    def __str__(self) -> str:
        return f"job {self.job_id}: {self.message}"


class ApiError(TapcutError):
    """An answer that refuses. `detail`: the service's sentence; `fields`: name and fault of each field."""

    def __init__(
        self,
        status: int,
        detail: str,
        fields: tuple[tuple[str, str], ...] = (),
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(status, detail, fields, request_id, retry_after_s)
        self.status = status
        self.detail = detail
        self.fields = fields
        self.request_id = request_id
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.detail} (HTTP {self.status})"


class InvalidPicture(ApiError):
    """400: not a picture that can be worked on, too large, or cut off."""


class Unauthorized(ApiError):
    """401: the service wants an API key, or does not know this one."""


class NotFound(ApiError):
    """404: no such job (never made, expired, deleted, another key's) or no such file."""


class Conflict(ApiError):
    """409: the job is being processed."""


class InvalidRequest(ApiError):
    """422: a field is unknown, malformed or does not fit the picture; see `fields`."""


class RateLimited(ApiError):
    """429: over what this key may ask for; nothing was accepted. See `retry_after_s`."""


class ServiceUnavailable(ApiError):
    """502, 503, 504: the queue is full or the service is down; nothing was accepted. See `retry_after_s`."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidPicture,
    401: Unauthorized,
    404: NotFound,
    409: Conflict,
    422: InvalidRequest,
    429: RateLimited,
    502: ServiceUnavailable,
    503: ServiceUnavailable,
    504: ServiceUnavailable,
}


def error_of(reply: Reply) -> ApiError:
    """The error that an answer with a status of 400 or more stands for."""
    try:
        problem: Any = json.loads(reply.body)
        if not isinstance(problem, dict):
            problem = {}
    except ValueError:
        problem = {}
    detail = problem.get("detail") or reply.body[:200].decode("utf-8", "replace") or "no explanation"
    fields = tuple(
        (str(one.get("field")), str(one.get("message")))
        for one in problem.get("errors") or ()
        if isinstance(one, dict)
    )
    kind = _BY_STATUS.get(reply.status, ApiError)
    return kind(reply.status, str(detail), fields, problem.get("request_id"), retry_after_s(reply))


def moved(reply: Reply) -> BadAddress:
    """The error that a redirection stands for. It is not followed: it may lead away from what has the key."""
    to = reply.headers.get("location", "elsewhere")
    return BadAddress(
        f"this is not the service's address, it points to {to} (HTTP {reply.status}): give that one"
    )


def retry_after_s(reply: Reply) -> float | None:
    """Seconds of the answer's `Retry-After`, where it has one in seconds."""
    value = reply.headers.get("retry-after", "")
    return float(value) if value.isdigit() else None
