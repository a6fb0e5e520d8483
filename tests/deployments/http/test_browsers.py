"""What browsers are told: which other pages may call, and what an answer may do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deployments.http.conftest import KEY_A, Running
from tests.deployments.http.test_access import NOBODY, upload

SHOP = "https://shop.example"
PREFLIGHT = {
    "Origin": SHOP,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,range",
}


async def test_other_origins_are_allowed_nothing_unless_configured(running: Running) -> None:
    async with running.client(KEY_A) as alice, running.client() as anybody:
        answers = [
            await anybody.options("/segment", headers=PREFLIGHT),
            await alice.get(f"/status/{NOBODY}", headers={"Origin": SHOP}),
            await anybody.get("/health", headers={"Origin": SHOP}),
        ]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_configured_origin_may_ask_first_without_a_key(serve: Callable[..., Any]) -> None:
    async with serve(CORS_ORIGINS=f"https://other.example, {SHOP}") as running, running.client() as anybody:
        answer = await anybody.options("/segment", headers=PREFLIGHT)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert "access-control-allow-credentials" not in answer.headers
        stranger = await anybody.options("/segment", headers={**PREFLIGHT, "Origin": "https://evil.example"})
        assert stranger.status_code == 400 and "access-control-allow-origin" not in stranger.headers


async def test_a_configured_origin_can_read_refusals_and_the_headers_it_needs(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(CORS_ORIGINS=SHOP, RATE_PER_MINUTE=1, RATE_BURST=1) as running:
        origin = {"Origin": SHOP}
        async with running.client(KEY_A) as alice, running.client() as anybody:
            job_id = await upload(alice)
            refused = await alice.get(f"/status/{job_id}", headers=origin)
            keyless = await anybody.get(f"/status/{job_id}", headers=origin)
    assert (refused.status_code, keyless.status_code) == (429, 401)
    for answer in (refused, keyless):
        assert answer.headers["access-control-allow-origin"] == SHOP
        exposed = answer.headers["access-control-expose-headers"].lower()
        for name in (
            "retry-after",
            "x-request-id",
            "etag",
            "content-range",
            "content-disposition",
            "ratelimit",
        ):
            assert name in exposed
        assert answer.headers["vary"] == "Origin"


async def test_every_origin_only_when_said(serve: Callable[..., Any]) -> None:
    async with serve(CORS_ORIGINS="*") as running, running.client(KEY_A) as alice:
        answer = await alice.get(f"/status/{NOBODY}", headers={"Origin": SHOP})
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_every_answer_carries_the_security_headers(running: Running) -> None:
    async with running.client(KEY_A) as alice, running.client() as anybody:
        job_id = await upload(alice)
        answers = [await alice.get(path) for path in ("/", "/health", "/metrics", "/docs", "/app/", "/app")]
        answers += [await alice.get(f"/status/{job_id}"), await alice.get(f"/download/{job_id}/original.png")]
        answers += [
            await alice.get("/app/js/app.js"),
            await alice.get("/nothing"),
            await alice.get("/upload"),
        ]
        answers += [await anybody.get("/nothing"), await alice.post("/segment")]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff", answer.url
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert "camera=()" in answer.headers["permissions-policy"]
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


async def test_only_the_page_may_listen_and_nothing_may_film(running: Running) -> None:
    async with running.client(KEY_A) as alice:
        page, guide, docs = [await alice.get(path) for path in ("/app/", "/", "/docs")]
    assert "microphone=(self)" in page.headers["permissions-policy"]
    assert "camera=()" in page.headers["permissions-policy"]
    for answer in (guide, docs):
        assert "microphone=()" in answer.headers["permissions-policy"]


async def test_answers_about_jobs_are_stored_nowhere(running: Running) -> None:
    async with running.client(KEY_A) as alice:
        uploaded = await alice.post("/upload", files={"file": ("a.png", b"x")})
        job_id = await upload(alice)
        status = await alice.get(f"/status/{job_id}")
        preview = await alice.post("/preview", json={"job_id": job_id, "points": [[9, 9]]})
        events = await alice.get(f"/status/{NOBODY}")
        file = await alice.get(f"/download/{job_id}/original.png")
    for answer in (uploaded, status, preview, events):
        assert answer.headers["cache-control"] == "no-store"
    assert file.headers["cache-control"] == "private, no-cache"


async def test_the_pages_policy_is_the_one_it_states_itself(running: Running) -> None:
    html = (Path(__file__).resolve().parents[3] / "clients" / "web" / "index.html").read_text("utf-8")
    stated = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert stated is not None
    async with running.client() as anybody:
        sent = (await anybody.get("/app/")).headers["content-security-policy"]
    assert sent == f"{stated[1]}; frame-ancestors 'none'"


async def test_the_name_of_an_uploaded_file_reaches_no_header(running: Running) -> None:
    async with running.client(KEY_A) as alice:
        picture = (await alice.get(f"/download/{await upload(alice)}/original.png")).content
        files = {"file": ('x"\r\nSet-Cookie: a=b;.html', picture, "text/html")}
        job_id = (await alice.post("/upload", files=files)).json()["job_id"]
        answer = await alice.get(f"/download/{job_id}/original.png")
    assert answer.headers["content-disposition"] == 'inline; filename="original.png"'
    assert answer.headers["content-type"] == "image/png" and "set-cookie" not in answer.headers
