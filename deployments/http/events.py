"""Server-sent events: a job's status on every change, until it ends.

Owns the event stream's format and its heartbeat.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from deployments.http.backend import Backend
from deployments.http.places import Places
from deployments.http.status import status_of
from storage.errors import JobNotFound, StoreUnavailable
from storage.jobs import JobState

# After which the stream ends and the client asks again: a replica that leaves need not wait longer, and
# cuts nobody off.
STREAM_S = 20.0

EVENT_DOCUMENTATION: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `status` whose data is `/status`'s answer; `gone` when the job was deleted. "
        "Ends with the job, or after 20 s: then connect again.",
        "content": {
            "text/event-stream": {
                # Of one event: what OpenAPI 3.1 lets a `schema` of a stream mean.
                "schema": {
                    "type": "object",
                    "required": ["event", "data"],
                    "properties": {
                        "event": {"enum": ["status", "gone"]},
                        "data": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "contentSchema": {"$ref": "#/components/schemas/StatusAnswer"},
                        },
                    },
                }
            }
        },
    }
}


class _PlacedStream(StreamingResponse):
    """A stream that needs a place for as long as it is sent, however it ends."""

    places: Places
    owner: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.places.take(self.owner):
            await super().__call__(scope, receive, send)


def stream_events(
    backend: Backend, job_id: str, owner: str, work_dir_name: str, followers: Places
) -> StreamingResponse:
    """The event stream of a job that was there a moment ago; it ends with an event `gone` if it goes.

    Raises:
        StageUnavailableError: `followers`, or `owner`'s half, are taken; raised when the sending begins.
    """
    stream = _PlacedStream(
        _events(backend, job_id, work_dir_name),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
    stream.places, stream.owner = followers, owner
    return stream


async def _events(backend: Backend, job_id: str, work_dir_name: str) -> AsyncIterator[str]:
    last, ends = "", time.monotonic() + STREAM_S
    async with aclosing(backend.events.subscribe(job_id)) as changes:
        async for _ in changes:
            if time.monotonic() > ends:
                return
            try:
                job = await backend.jobs.get(job_id)
            except JobNotFound:
                yield "event: gone\ndata: {}\n\n"
                return
            except StoreUnavailable:
                yield ": the job store does not answer, still trying\n\n"
                continue
            data = status_of(job, work_dir_name).model_dump_json()
            # The comment keeps proxies from closing a quiet stream.
            yield f"event: status\ndata: {data}\n\n" if data != last else ": still here\n\n"
            last = data
            if job.state in (JobState.READY, JobState.ERROR):
                return
