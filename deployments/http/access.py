"""Who may call what: the key of each request, its rate, and jobs that only their tenant can see.

Owns the addresses that are open without a key, what a call costs, and the one look-up of a job for a
request. Keys themselves are in `keys.py`, counting in `storage/rate_limit.py`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.http.keys import KeyRing
from deployments.http.problems import KeyRefusedError, RateExceededError
from storage.errors import JobNotFound
from storage.files import is_job_id
from storage.jobs import Job, JobStore
from storage.rate_limit import TENTHS, RateLimit, RateLimiter, RateVerdict

OPEN_ADDRESSES = frozenset({"/", "/health", "/docs", "/openapi.json", "/app"})
OPEN_FOLDERS = ("/docs/", "/app/")
METRICS = "/metrics"

# Tenths of a call. A preview is a fifth of the work of a job and comes with each movement of a pointer.
COSTS = {("POST", "/upload"): TENTHS, ("POST", "/segment"): TENTHS, ("POST", "/preview"): 2}
READ_COST = 1


class AccessGuard:
    """Lets a request through with a known key and within its rate; everything else ends here, body unread.

    Closed unless named open: an address that nobody serves asks for a key like any other, so that without
    one nothing can be learnt.
    """

    def __init__(
        self, app: ASGIApp, keys: KeyRing, limiter: RateLimiter, per_minute: int, burst: int
    ) -> None:
        """`per_minute` 0: no rate."""
        self._app = app
        self._keys = keys
        self._limiter = limiter
        self._limit = RateLimit(per_minute, burst) if per_minute else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through, or refuse it.

        Raises:
            KeyRefusedError: no key, or one that is not known.
            RateExceededError: too many calls with this key.
            StoreUnavailable: the rate cannot be counted.
        """
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = _address(scope)
        is_open = path in OPEN_ADDRESSES or path.startswith(OPEN_FOLDERS)
        state = scope.setdefault("state", {})
        state["owner"], state["keyed"], state["tenant"] = "", not self._keys, None
        if self._keys:
            self._identify(scope, is_open)
        if self._limit is None or is_open or (path == METRICS and not self._keys):
            await self._app(scope, receive, send)
            return
        cost = COSTS.get((scope["method"], path), READ_COST)
        verdict = await self._limiter.spend(state["owner"], cost, self._limit)
        headers = _rate_headers(self._limit, verdict)
        if not verdict.allowed:
            raise RateExceededError(math.ceil(verdict.retry_after_s), headers)

        async def send_with_rate(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self._app(scope, receive, send_with_rate)

    def _identify(self, scope: Scope, is_open: bool) -> None:
        key = _bearer(Headers(scope=scope))
        if key is None:
            if not is_open:
                raise KeyRefusedError("This service asks for a key: send Authorization: Bearer <key>")
            return
        tenant = self._keys.find(key)
        if tenant is None:
            raise KeyRefusedError(
                "This key is not known here: send a valid one as Authorization: Bearer <key>"
            )
        state = scope["state"]
        state["owner"], state["keyed"], state["tenant"] = tenant.owner, True, tenant.label


def owner_of(request: Request) -> str:
    """The tenant that the request comes from; "" while the service has no keys."""
    owner: str = request.state.owner
    return owner


def is_keyed(request: Request) -> bool:
    """Whether the request brought a key, or the service needs none."""
    keyed: bool = request.state.keyed
    return keyed


def tenants_digest(owner: str, digest: str) -> str:
    """The name under which a picture's embedding is shared: among one tenant's jobs, not between tenants.

    Else whoever has a picture could tell from the time of a preview that another tenant has it, too.
    """
    return hashlib.sha256(f"{owner}\0{digest}".encode()).hexdigest() if owner else digest


def job_route(jobs: JobStore) -> type[APIRoute]:
    """A class of routes that look up the job which a request names before anything else is read of it.

    A job that does not exist and one of another tenant are the same 404, whatever else is wrong.
    """

    class JobRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()
            find = _place_of_job_id(self)
            if find is None:
                return answer

            async def answer_for_own_job(request: Request) -> Response:
                job_id = await find(request)
                if job_id is not None:
                    # A malformed id cannot name a job.
                    if not is_job_id(job_id):
                        raise JobNotFound("Job not found")
                    request.state.job = await jobs.get(job_id, owner_of(request))
                return await answer(request)

            return answer_for_own_job

    return JobRoute


async def _found_job(request: Request) -> Job:
    # Without an id there is no job: FastAPI refuses the request for that once all dependencies are there.
    job: Job = getattr(request.state, "job", None)  # type: ignore[assignment]
    return job


OwnJob = Annotated[Job, Depends(_found_job)]


def _place_of_job_id(route: APIRoute) -> Callable[[Request], Coroutine[Any, Any, str | None]] | None:
    async def in_path(request: Request) -> str | None:
        return str(request.path_params["job_id"])

    async def in_query(request: Request) -> str | None:
        return request.query_params.get("job_id")

    async def in_body(request: Request) -> str | None:
        try:
            job_id = (await request.json())["job_id"]
        except (ValueError, RecursionError, LookupError, TypeError):
            return None  # names no job: refused with what is wrong with it
        return job_id if isinstance(job_id, str) else None

    if "{job_id}" in route.path:
        return in_path
    if any(_has_job_id(parameter.field_info.annotation) for parameter in route.dependant.query_params):
        return in_query
    if route.body_field is not None and _has_job_id(route.body_field.field_info.annotation):
        return in_body
    return None


def _has_job_id(model: Any) -> bool:
    return "job_id" in getattr(model, "model_fields", {})


def _address(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    # As the router sees it: without the prefix under which a proxy mounts the application.
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _bearer(headers: Headers) -> bytes | None:
    values = headers.getlist("authorization")
    scheme, _, key = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return key.strip(" ").encode("latin-1") if scheme.lower() == "bearer" else None


def _rate_headers(limit: RateLimit, verdict: RateVerdict) -> dict[str, str]:
    # draft-ietf-httpapi-ratelimit-headers-10: quota `q` in window `w` s; `r` left, whole again after `t` s.
    return {
        "RateLimit-Policy": f'"key";q={limit.burst};w={math.ceil(limit.refill_s)}',
        "RateLimit": f'"key";r={verdict.remaining};t={math.ceil(verdict.whole_after_s)}',
    }
