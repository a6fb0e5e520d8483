"""The calls of the service as operations: what to send, what to send again, what to make of the answers.

Owns all logic of the client. Carries nothing out: see `steps.py`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from tapcut_client.errors import JobFailed, NotFound, WaitTimeout, error_of, moved
from tapcut_client.events import EventParser
from tapcut_client.models import Box, ObjectPrompt, Point, Preview, Status, Upload
from tapcut_client.pictures import CountedFile, Picture, Progress
from tapcut_client.retry import RetryPolicy, connection_failed, with_retries
from tapcut_client.steps import Operation, Pause, Reply, Send

POLL_S = 1.0
QUIET_S = 30.0  # a live event stream says something at least every few seconds
OUTPUTS = ("masks", "cropped", "inpainted", "full_inpainted")

OnStatus = Callable[[Status], None]


def upload(
    policy: RetryPolicy, picture: Picture, on_progress: Progress | None, idempotency_key: str | None
) -> Operation[Upload]:
    """`POST /upload`. The key makes a second sending answer with the first one's job."""
    key = idempotency_key or uuid.uuid4().hex
    # Each try reads the file from its start; what is open is closed when the operation ends.
    opened: list[Any] = []

    def make() -> Send:
        context = picture.open()
        file = context.__enter__()
        opened.append(context)
        source: Any = CountedFile(file, picture.size, on_progress) if on_progress else file
        return Send("POST", "/upload", file=(picture.name, source), headers={"Idempotency-Key": key})

    try:
        reply = yield from with_retries(policy, make, also=_first_is_pending)
    finally:
        for context in opened:
            context.__exit__(None, None, None)
    return Upload.of(json.loads(reply.body))


def _first_is_pending(reply: Reply) -> bool:
    # 409 with Retry-After: the first sending of this idempotency key has not been answered yet.
    return reply.status == 409 and "retry-after" in reply.headers


def segment(
    policy: RetryPolicy,
    job_id: str,
    objects: Sequence[ObjectPrompt],
    *,
    normalized: bool,
    outputs: Sequence[str] | None,
    dilate_px: int | None,
    feather_px: int | None,
    format: str,
    callback_url: str | None,
    idempotency_key: str | None,
) -> Operation[None]:
    """`POST /segment`. A full queue (503) or a used-up rate (429) is waited for as the service asks."""
    body: dict[str, Any] = {"objects": [one.as_json() for one in objects], "format": format}
    for name, value in (
        ("outputs", list(outputs) if outputs is not None else None),
        ("dilate_px", dilate_px),
        ("feather_px", feather_px),
        ("callback_url", callback_url),
        ("normalized", normalized or None),
    ):
        if value is not None:
            body[name] = value
    key = idempotency_key or uuid.uuid4().hex
    request = Send("POST", "/segment", {"job_id": job_id}, body, headers={"Idempotency-Key": key})
    yield from with_retries(policy, lambda: request, also=_first_is_pending)


def preview(
    policy: RetryPolicy,
    job_id: str,
    points: Sequence[Point],
    labels: Sequence[int] | None,
    box: Box | None,
    normalized: bool,
) -> Operation[Preview]:
    """`POST /preview`."""
    body = {"job_id": job_id, "normalized": normalized, **ObjectPrompt(points, labels, box).as_json()}
    reply = yield from with_retries(policy, lambda: Send("POST", "/preview", json=body))
    return Preview.of(json.loads(reply.body))


def status(policy: RetryPolicy, job_id: str) -> Operation[Status]:
    """`GET /status`."""
    reply = yield from with_retries(policy, lambda: Send("GET", f"/status/{job_id}"))
    return Status.of(json.loads(reply.body))


def cleanup(policy: RetryPolicy, job_id: str) -> Operation[bool]:
    """`DELETE /cleanup`; false when there was no such job."""
    try:
        yield from with_retries(policy, lambda: Send("DELETE", f"/cleanup/{job_id}"))
    except NotFound:
        return False
    return True


def health() -> Operation[dict[str, Any]]:
    """`GET /health`: also of a service that is not ready, which answers 503 with the same document."""
    try:
        reply: Reply = yield Send("GET", "/health")
    except httpx.TransportError as error:
        raise connection_failed(error) from error
    if 300 <= reply.status < 400:
        raise moved(reply)
    if reply.status not in (200, 503):
        raise error_of(reply)
    found: dict[str, Any] = json.loads(reply.body)
    return found


def wait(
    policy: RetryPolicy, job_id: str, timeout_s: float | None, on_status: OnStatus | None
) -> Operation[Status]:
    """Follow the job to its end: by server-sent events, by polling where these do not arrive.

    Raises:
        JobFailed: it ended as `error`.
        WaitTimeout: it has not ended after `timeout_s`.
        NotFound: it was deleted or has expired.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    told: Status | None = None
    streams = True  # until a stream turns out to be of no use here
    while True:
        if streams:
            follower = _Follower(told, on_status, deadline)
            try:
                reply: Reply = yield Send(
                    "GET",
                    f"/events/{job_id}",
                    headers={"Accept": "text/event-stream"},
                    read_timeout_s=QUIET_S,
                    on_chunk=follower.feed,
                )
                if follower.gone:
                    raise NotFound(404, "Job not found")
                streams = reply.status < 300 and follower.heard
            except httpx.TransportError:
                streams = follower.heard
            told = follower.told
        if told is None or not told.ended:
            # Also after a stream broke: the answer may already be there, or the job may be gone.
            found = yield from status(policy, job_id)
            if found != told and on_status is not None:
                on_status(found)
            told = found
        if told.ended:
            if told.status == "error":
                raise JobFailed(told.error or "no explanation", job_id)
            return told
        if deadline is not None and time.monotonic() >= deadline:
            raise WaitTimeout(
                f"job {job_id} is {told.status} ({told.stage}, {told.progress} %) after {timeout_s:g} s"
            )
        yield Pause(POLL_S)


class _Follower:
    """Reads one event stream until the job ends."""

    def __init__(self, told: Status | None, on_status: OnStatus | None, deadline: float | None) -> None:
        self.told = told
        self.gone = False
        self.heard = False
        self._on_status = on_status
        self._deadline = deadline
        self._parser = EventParser()

    def feed(self, chunk: bytes) -> bool:
        """Take what arrived; True when nothing more is wanted."""
        for event in self._parser.feed(chunk):
            self.heard = True
            if event.name == "gone":
                self.gone = True
                return True
            if event.name != "status":
                continue
            found = Status.of(event.data)
            if found != self.told and self._on_status is not None:
                self._on_status(found)
            self.told = found
            if found.ended:
                return True
        return self._deadline is not None and time.monotonic() >= self._deadline
