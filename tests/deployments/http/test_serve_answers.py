"""The proxy's own refusals become ones that a client may send again; the service's stay what they are."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.http.serve_answers import ServeAnswers

PROBLEM = {"title": "Internal Server Error", "status": 500}


async def answer(request: Request) -> Response:
    status = int(request.path_params["status"])
    if request.path_params["who"] == "proxy":
        return PlainTextResponse("Internal Server Error", status, {"x-request-id": "r1"})
    if request.path_params["who"] == "service-unmarked":  # what Starlette's outermost handler sends
        return JSONResponse(PROBLEM, status, media_type="application/problem+json")
    return PlainTextResponse("ours", status, {"X-Content-Type-Options": "nosniff"})


class Silence:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith("/silence"):
            await self._app(scope, receive, send)


@pytest.fixture
def client() -> httpx.AsyncClient:
    routes = [Route("/-/{who}/{status}", answer), Route("/{who}/{status}", answer)]
    app = Starlette(routes=routes, middleware=[Middleware(ServeAnswers), Middleware(Silence)])
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://proxy", headers={"x-request-id": "r2"}
    )


async def test_request_whose_replica_died_may_be_sent_again(client: httpx.AsyncClient) -> None:
    found = await client.get("/silence/500")  # Serve's proxy then answers nothing at all
    assert found.status_code == 503 and found.headers["retry-after"] == "1"
    assert found.json()["request_id"] == "r2"


@pytest.mark.parametrize("status", [404, 503])
async def test_refusal_of_the_proxy_becomes_one_to_send_again(client: httpx.AsyncClient, status: int) -> None:
    found = await client.get(f"/proxy/{status}")
    assert found.status_code == 503 and found.headers["retry-after"] == "1"
    assert found.headers["content-type"] == "application/problem+json"
    assert found.json()["status"] == 503 and found.json()["request_id"] == "r1"


@pytest.mark.parametrize("path", ["/service/404", "/service-unmarked/500", "/-/proxy/503", "/proxy/200"])
async def test_other_answers_pass_untouched(client: httpx.AsyncClient, path: str) -> None:
    found = await client.get(path)
    assert found.status_code == int(path.rsplit("/", 1)[1])
    assert "retry-after" not in found.headers
