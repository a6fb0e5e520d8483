"""The routes for operators: guide, health, metrics."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from deployments.http import documents
from deployments.http.access import is_keyed
from deployments.http.backend import Backend
from deployments.http.health import check_health
from deployments.http.metrics import render_metrics
from deployments.http.schemas import HealthAnswer, HealthVerdict
from storage.errors import FileStoreError, StoreUnavailable


def add_operations(app: FastAPI, backend: Backend) -> None:
    """Add the routes for operators."""

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
        found = await check_health(backend, app.version)
        response.status_code = 200 if found.status == "ok" else 503
        return found if is_keyed(request) else HealthVerdict(status=found.status)

    @app.get("/metrics", tags=["operations"], response_class=Response, responses=documents.METRICS_ANSWER)
    async def metrics() -> Response:
        """Jobs, queue, seconds of runs and stages, batch sizes, room, for Prometheus; also without Redis."""
        counted, takes_writes, free_bytes = None, False, None
        with suppress(StoreUnavailable):
            counted = await backend.jobs.metrics()
            await backend.jobs.ping()
            takes_writes = True
        with suppress(FileStoreError):
            free_bytes = await asyncio.to_thread(backend.files.free_bytes)
        return Response(
            render_metrics(counted, takes_writes, free_bytes),
            media_type="text/plain; version=0.0.4; charset=utf-8",
        )
