"""The HTTP API: what every request passes, from the outside in, and the routes behind it.

Owns the order of the middlewares. Routes are in `workflow.py`, `results.py` and `operations.py`.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from deployments.http import documents, problems
from deployments.http.access import AccessGuard, job_route
from deployments.http.backend import Backend
from deployments.http.edge import Edge, EdgeLimits
from deployments.http.keys import KeyRing, parse_keys
from deployments.http.middleware import RequestContext
from deployments.http.operations import add_operations
from deployments.http.other_sites import OtherSites
from deployments.http.queue_pace import QueuePace
from deployments.http.results import add_results
from deployments.http.workflow import add_workflow

VERSION = "0.1.0"

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
    add_workflow(app, backend)
    add_results(app, backend)
    add_operations(app, backend)
    return app
