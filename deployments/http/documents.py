"""What the API says about itself: the guide at `/`, Swagger UI without internet, the page's files.

Owns the texts and the parts of the OpenAPI document that FastAPI cannot derive.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from deployments.http.access import OPEN_ADDRESSES
from deployments.http.schemas import Problem
from deployments.http.security_headers import DOCS_POLICY, PAGE_PERMISSIONS, PAGE_POLICY, PERMISSIONS

BINARY = {"schema": {"type": "string", "format": "binary"}}

UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "The picture."}
                    },
                }
            }
        },
    }
}

FILE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {
            kind: BINARY
            for kind in ("image/png", "image/jpeg", "image/webp", "application/json", "application/zip")
        },
    },
    206: {
        "description": "The requested range of the file.",
        "content": {"application/octet-stream": BINARY},
    },
}

METRICS_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}

_JOB = "$response.body#/job_id"
_OF_THE_JOB = {"parameters": {"path.job_id": _JOB}}
_TAP = {"normalized": True, "coordinates_list": [[0.5, 0.5]]}


def _file_link(filename: str) -> dict[str, Any]:
    return {"parameters": {"path.job_id": _JOB, "path.filename": filename}}


# What can be called next, by the call that answers the job's id.
LINKS: dict[str, dict[str, Any]] = {
    "upload": {
        "segment": {"parameters": {"query.job_id": _JOB}, "requestBody": _TAP},
        "preview": {"requestBody": {"job_id": _JOB, "normalized": True, "points": [[0.5, 0.5]]}},
        "status": _OF_THE_JOB,
        "events": _OF_THE_JOB,
        "download": _file_link("original.png"),
        "download_head": _file_link("original.png"),
        "cleanup": _OF_THE_JOB,
    },
    "segment": {
        "status": _OF_THE_JOB,
        "events": _OF_THE_JOB,
        "download": _file_link("result.json"),
        "cleanup": _OF_THE_JOB,
    },
    "status": {
        "segment": {"parameters": {"query.job_id": _JOB}, "requestBody": _TAP},
        "download": _file_link("$response.body#/files/0"),
        "cleanup": _OF_THE_JOB,
    },
    "cleanup": {"status": _OF_THE_JOB, "events": _OF_THE_JOB, "cleanup": _OF_THE_JOB},
}

GUIDE: dict[str, Any] = {
    "name": "tapcut",
    "description": "Tap an object in a photo: get it cut out, or get the photo back without it.",
    "page": "/app/",
    "documentation": "/docs",
    "openapi": "/openapi.json",
    "workflow": [
        {"step": 1, "call": "POST /upload", "send": "multipart/form-data, field file", "answer": "job_id"},
        {
            "step": 2,
            "call": "POST /segment?job_id=...",
            "send": {"coordinates_list": [[250, 300], [400, 150]]},
        },
        {"step": 3, "call": "GET /status/{job_id}", "until": "status is ready or error"},
        {
            "step": 4,
            "call": "GET /download/{job_id}/{filename}",
            "files": ["cropped_0.png", "full_inpainted.png"],
        },
        {"step": 5, "call": "DELETE /cleanup/{job_id}"},
    ],
    "also": ["POST /preview", "GET /events/{job_id}", "GET /health", "GET /metrics"],
    "artifacts": {
        "original.png": "the picture as worked on; the frame of all coordinates",
        "mask_N.png": "binary mask of object N",
        "cropped_N.png": "object N cut out, with transparency",
        "inpainted_N.png": "the picture without object N",
        "full_inpainted.png": "the picture without any of the objects",
        "result.json": "scores, areas, outlines, checkpoints, seconds a stage",
        "archive.zip": "all of them",
    },
}


KEY_ADVICE = "send Authorization: Bearer <key> with every call"
KEY_SCHEME = {"key": {"type": "http", "scheme": "bearer", "description": "One of the service's API_KEYS."}}

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

ACCESS_ANSWERS: dict[str, dict[str, Any]] = {
    "401": {
        "description": "No key, or one that is not known.",
        "headers": {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
        "content": _PROBLEM,
    },
    "429": {
        "description": "Over what one key may ask for: nothing was accepted; see `Retry-After`.",
        "headers": {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
        "content": _PROBLEM,
    },
}

DOCS_PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>tapcut: API</title>
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <link rel="stylesheet" href="/docs/assets/swagger-ui.css">
    <link rel="icon" href="/docs/assets/favicon.png">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="/docs/assets/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
"""

# A file of its own, so that the page's policy need not allow inline scripts.
DOCS_START = "SwaggerUIBundle({ url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true });\n"


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """What a call's refusals look like in the document."""
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


def install(app: FastAPI, *, needs_key: bool) -> None:
    """Add `/docs`, `/app/`, the problem schema and the answers of access control to `app`."""
    app.mount("/docs/assets", _Files(packages=[("fastapi_offline", "static")], policy=DOCS_POLICY))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(DOCS_PAGE, headers={"Content-Security-Policy": DOCS_POLICY})

    @app.get("/docs/start.js", include_in_schema=False)
    async def docs_start() -> Response:
        return Response(DOCS_START, media_type="text/javascript")

    @app.get("/app", include_in_schema=False)
    async def page() -> RedirectResponse:
        return RedirectResponse("/app/")

    files = _Files(directory=page_folder(), html=True, policy=PAGE_POLICY, permissions=PAGE_PERMISSIONS)
    app.mount("/app", files)
    _complete_openapi(app, needs_key)


def page_folder() -> Path:
    """Where the page's files are: beside the packages in a checkout."""
    return Path(__file__).resolve().parents[2] / "clients" / "web"


class _Files(StaticFiles):
    """Files for browsers, revalidated at each use, under the policy of their page."""

    def __init__(self, *, policy: str, permissions: str = PERMISSIONS, **options: Any) -> None:
        super().__init__(**options)
        self._headers = {
            "Content-Security-Policy": policy,
            "Permissions-Policy": permissions,
            "Cache-Control": "no-cache",
        }

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(self._headers)
        return response


def _complete_openapi(app: FastAPI, needs_key: bool) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, summary=app.summary, routes=app.routes
            )
            schemas = document["components"]["schemas"]
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= problem.pop("$defs")
            schemas["Problem"] = problem
            # FastAPI documents its own validation answer, which this API replaces by a problem document.
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            document["components"]["securitySchemes"] = KEY_SCHEME
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    if path in OPEN_ADDRESSES:
                        # A key, where there is one, makes the answer of /health fuller.
                        operation["security"] = [{}, {"key": []}]
                        continue
                    operation["security"] = [{"key": []}] if needs_key else [{}, {"key": []}]
                    operation["responses"].update(ACCESS_ANSWERS)
            for operations in document["paths"].values():
                for operation in operations.values():
                    answers = operation["responses"]
                    if "HTTPValidationError" in str(answers.get("422", "")):
                        del answers["422"]
                    links = LINKS.get(operation["operationId"], {})
                    if links:
                        answers["200"]["links"] = {
                            name: {"operationId": name, **link} for name, link in links.items()
                        }
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
