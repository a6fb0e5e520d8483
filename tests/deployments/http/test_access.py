"""Who is let in, and that nobody learns anything of another's job."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from tests.deployments.http.conftest import KEY_A, KEY_A2, KEY_B, Running
from tests.deployments.http.small_service import png

NOBODY = "0" * 32
PICTURE = png(np.random.default_rng(3).integers(0, 255, (240, 320, 3), np.uint8))

# Each call that names a job: as it should be, and with something else wrong in it.
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/status/{}", {}),
    ("GET", "/events/{}", {}),
    ("GET", "/download/{}/original.png", {}),
    ("HEAD", "/download/{}/original.png", {}),
    ("GET", "/download/{}/archive.zip", {}),
    ("GET", "/download/{}/nothing.png", {}),
    ("GET", "/download/{}/original.png", {"headers": {"Range": "bytes=0-9"}}),
    ("DELETE", "/cleanup/{}", {}),
    ("POST", "/segment?job_id={}", {"json": {"coordinates_list": [[10, 10]]}}),
    ("POST", "/segment?job_id={}&coordinates_list=[[1,1]]", {}),
    ("POST", "/segment?job_id={}", {"json": {"coordinates_list": [[9999, 10]]}}),
    ("POST", "/segment?job_id={}", {"json": {"objects": [{"mask": "AAAA"}]}}),
    ("POST", "/segment?job_id={}", {"json": {"unknown": 1}}),
    ("POST", "/segment?job_id={}&what=1", {}),
    ("POST", "/segment?job_id={}", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
    ("POST", "/segment?job_id={}", {"headers": {"Idempotency-Key": ""}}),
    ("POST", "/preview", {"json": {"job_id": "{}", "points": [[10, 10]]}}),
    ("POST", "/preview", {"json": {"job_id": "{}", "points": [[9999, 10]]}}),
    ("POST", "/preview", {"json": {"job_id": "{}", "points": "no", "unknown": 1}}),
]


async def call(
    client: httpx.AsyncClient, job_id: str, method: str, path: str, options: Any
) -> httpx.Response:
    text = json.dumps(options.get("json")).replace("{}", job_id)
    filled = {**options, "json": json.loads(text)} if "json" in options else options
    return await client.request(method, path.replace("{}", job_id), **filled)


async def upload(client: httpx.AsyncClient, **headers: str) -> str:
    answer = await client.post("/upload", files={"file": ("a.png", PICTURE)}, headers=headers)
    assert answer.status_code == 200, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


def told(answer: httpx.Response, job_id: str) -> tuple[Any, ...]:
    """All that an answer tells, less what names the request itself."""
    body = answer.text.replace(job_id, "{}")
    if body:
        body = json.dumps({**json.loads(body), "request_id": ""})
    return answer.status_code, sorted(answer.headers.items()), body


@pytest.mark.parametrize(("method", "path", "options"), CALLS)
async def test_anothers_job_and_no_job_are_the_same_answer(
    running: Running, method: str, path: str, options: dict[str, Any]
) -> None:
    async with running.client(KEY_A) as alice, running.client(KEY_B) as bob:
        job_id = await upload(alice)
        foreign = await call(bob, job_id, method, path, options)
        missing = await call(bob, NOBODY, method, path, options)
        assert foreign.status_code == 404
        if method != "HEAD":
            assert foreign.json()["detail"] == "Job not found"
        assert told(foreign, job_id) == told(missing, NOBODY)
        # It is still there, and nothing was done to it.
        assert (await alice.get(f"/status/{job_id}")).json()["status"] == "uploaded"


async def test_anothers_running_and_ready_job_is_not_found_either(running: Running) -> None:
    async with running.client(KEY_A) as alice, running.client(KEY_B) as bob:
        job_id = await upload(alice)
        order = {"json": {"coordinates_list": [[100, 100]]}}
        await call(alice, job_id, "POST", "/segment?job_id={}", order)
        for _ in range(2):
            for method, path, options in CALLS:
                assert (await call(bob, job_id, method, path, options)).status_code == 404, path
            await running.backend.run_one()
        assert (await alice.get(f"/download/{job_id}/archive.zip")).status_code == 200


async def test_a_job_is_whole_for_every_key_of_its_name(running: Running) -> None:
    async with running.client(KEY_A) as first, running.client(KEY_A2) as second:
        job_id = await upload(first)
        answer = await call(
            second, job_id, "POST", "/segment?job_id={}", {"json": {"coordinates_list": [[9, 9]]}}
        )
        assert answer.json()["message"] == "Segmenting 1 object..."
        assert await running.backend.run_one()
        events = await second.get(f"/events/{job_id}")
        assert '"status":"ready"' in events.text
        assert (await second.get(f"/download/{job_id}/full_inpainted.png")).status_code == 200
        assert (await second.delete(f"/cleanup/{job_id}")).json()["status"] == "deleted"
        assert (await first.get(f"/status/{job_id}")).status_code == 404


async def test_jobs_from_before_the_keys_are_nobodys(serve: Callable[..., Any]) -> None:
    async with serve(API_KEYS="") as opened, opened.client() as anybody:
        job_id = await upload(anybody)
        assert (await anybody.get(f"/status/{job_id}")).status_code == 200
    async with serve() as closed, closed.client(KEY_A) as alice:
        assert (await alice.get(f"/status/{job_id}")).status_code == 404
        own = await upload(alice)
    async with serve(API_KEYS="") as opened, opened.client() as anybody:
        assert (await anybody.get(f"/status/{own}")).status_code == 404


async def test_one_idempotency_key_of_two_tenants_makes_two_jobs(running: Running) -> None:
    async with running.client(KEY_A) as alice, running.client(KEY_B) as bob:
        jobs = [await upload(who, **{"Idempotency-Key": "same"}) for who in (alice, bob, alice, bob)]
        assert jobs[:2] == jobs[2:] and jobs[0] != jobs[1]
        assert (await bob.get(f"/status/{jobs[0]}")).status_code == 404


async def test_a_refused_upload_frees_the_idempotency_key_of_its_tenant(running: Running) -> None:
    async with running.client(KEY_A) as alice:
        headers = {"Idempotency-Key": "again"}
        bad = await alice.post("/upload", files={"file": ("a.png", b"no")}, headers=headers)
        assert bad.status_code == 400
        assert await upload(alice, **headers)


async def test_embeddings_are_not_shared_between_tenants(running: Running) -> None:
    async with running.client(KEY_A) as alice, running.client(KEY_A2) as second, running.client(KEY_B) as bob:
        for who in (alice, second, bob):
            await upload(who)
        first, same, other = (picture.digest for picture in running.backend.encoded)
        assert first == same != other


KEYED = [
    "/metrics",
    "/upload",
    "/segment",
    "/status/" + NOBODY,
    "/nothing",
    "/App/",
    "/docs2",
    "/app2",
    "/a//b",
]
BAD = [
    {},
    {"Authorization": "Bearer wrong-wrong-wrong-wrong"},
    {"Authorization": f"Basic {KEY_A}"},
    {"Authorization": KEY_A},
    {"Authorization": "Bearer"},
    {"Authorization": f"Bearer {KEY_A} x"},
    {"Authorization": "Bearer \xff\xfe"},
    {"Authorization": f"Bearer {KEY_A.upper()}"},
]


@pytest.mark.parametrize("headers", BAD)
async def test_without_a_known_key_every_address_answers_alike(
    running: Running, headers: dict[str, str]
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    async with running.client() as anybody:
        details = set()
        for path in KEYED:
            for method in ("GET", "POST", "DELETE"):
                answer = await anybody.request(method, path, headers=raw)
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert answer.headers["content-type"] == "application/problem+json"
                details.add(answer.json()["detail"])
        (detail,) = details
        assert "Authorization: Bearer" in detail


async def test_two_authorization_headers_are_no_key(running: Running) -> None:
    async with running.client() as anybody:
        both = [("Authorization", f"Bearer {KEY_A}"), ("Authorization", f"Bearer {KEY_B}")]
        assert (await anybody.get("/metrics", headers=both)).status_code == 401


async def test_scheme_may_be_written_in_any_case(running: Running) -> None:
    async with running.client() as anybody:
        for scheme in ("bearer", "BEARER", "Bearer "):
            answer = await anybody.get("/metrics", headers={"Authorization": f"{scheme} {KEY_A}"})
            assert answer.status_code == 200


async def test_addresses_for_reading_are_open_and_health_says_little(running: Running) -> None:
    async with running.client() as anybody, running.client(KEY_A) as alice:
        for path in ("/", "/docs", "/docs/start.js", "/docs/assets/swagger-ui.css", "/openapi.json", "/app/"):
            assert (await anybody.get(path)).status_code == 200, path
        assert (await anybody.get("/health")).json() == {"status": "ok"}
        assert "Authorization: Bearer" in (await anybody.get("/")).json()["key"]
        assert (await alice.get("/health")).json()["checkpoints"]


async def test_no_path_reaches_behind_an_open_folder(running: Running) -> None:
    async with running.client(KEY_A) as alice:
        job_id = await upload(alice)
    for path in (f"/app/../status/{job_id}", "/docs/../metrics", f"/app//status/{job_id}"):
        status, body = await raw_request(running, "GET", path)
        assert status in (401, 404) and b"uploaded" not in body and b"tapcut_jobs" not in body, path


async def raw_request(running: Running, method: str, path: str, **more: Any) -> tuple[int, bytes]:
    """A request whose path no client tidies up; `receive` in `more` replaces its empty body."""
    sent: list[Any] = []

    async def empty() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("tapcut", 80),
        "client": ("127.0.0.1", 1),
        "headers": more.get("headers", []),
    }
    await running.app(scope, more.get("receive", empty), send)
    return sent[0]["status"], b"".join(part.get("body", b"") for part in sent[1:])


async def test_body_of_a_refused_upload_is_not_read(running: Running) -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was asked for")

    status, _ = await raw_request(running, "POST", "/upload", receive=receive)
    assert status == 401


async def test_without_keys_everybody_is_served_and_a_sent_key_is_no_matter(
    serve: Callable[..., Any],
) -> None:
    async with (
        serve(API_KEYS="") as opened,
        opened.client() as anybody,
        opened.client("any-old-key") as keyed,
    ):
        job_id = await upload(anybody)
        assert (await keyed.get(f"/status/{job_id}")).status_code == 200
        assert (await anybody.get("/metrics")).status_code == 200
        assert (await anybody.get("/health")).json()["checkpoints"]


async def test_openapi_names_the_scheme_and_what_it_answers(
    running: Running, serve: Callable[..., Any]
) -> None:
    async with running.client() as anybody:
        document = (await anybody.get("/openapi.json")).json()
        assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                answer = await anybody.request(method, path.replace("{job_id}", NOBODY))
                closed = operation["security"] == [{"key": []}]
                assert closed == (answer.status_code == 401), path
                assert closed <= ({"401", "429"} <= set(operation["responses"])), path


async def test_keys_are_in_no_log_line(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with running.client(KEY_A) as alice, running.client("wrong-wrong-wrong-wrong") as other:
        await upload(alice)
        await other.get("/metrics")
    lines = [record for record in caplog.records if record.name == "ray.serve"]
    assert [record.tapcut_tenant for record in lines] == ["alice", None]
    assert not any(key in str(vars(record)) for record in lines for key in (KEY_A, "wrong-wrong"))


async def test_no_plain_key_reaches_redis(running: Running) -> None:
    async with running.client(KEY_A) as alice:
        await upload(alice, **{"Idempotency-Key": "one"})
    client = running.backend.connection.client
    names = [name async for name in client.scan_iter()]
    assert names
    for name in names:
        kind = await client.type(name)
        value = await (
            client.hgetall(name)
            if kind == "hash"
            else client.dump(name)
            if kind != "string"
            else client.get(name)
        )
        assert KEY_A not in f"{name}{value!r}"


async def test_unknown_errors_stay_opaque_and_keep_their_headers(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(running.backend, "preview", broken)
    async with running.client(KEY_A) as alice:
        job_id = await upload(alice)
        answer = await alice.post("/preview", json={"job_id": job_id, "points": [[9, 9]]})
    assert answer.status_code == 500 and "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["request_id"] in answer.json()["detail"]


async def test_a_job_that_is_deleted_meanwhile_ends_its_events(running: Running) -> None:
    async with running.client(KEY_A) as alice:
        job_id = await upload(alice)
        stream = asyncio.create_task(alice.get(f"/events/{job_id}"))
        await asyncio.sleep(0)
        await alice.delete(f"/cleanup/{job_id}")
        answer = await asyncio.wait_for(stream, 20)
        assert answer.status_code == 404 or "event: gone" in answer.text
