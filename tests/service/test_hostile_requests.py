"""Requests that no honest client sends, over plain sockets where a library would refuse to send them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.service.pictures import DISC, png_bytes, scene, segment, upload, wait
from trials.service import Service

TELLING = ("Traceback", "site-packages", "/tmp/", "/home/", ".py", "tapcut-test")


def exchange(url: str, data: bytes, seconds: float = 20) -> tuple[int, str]:
    """Status and whatever comes back to raw bytes, until the server closes or is silent for long."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(seconds)
        received = b""
        try:
            connection.sendall(data)
            while piece := connection.recv(65_536):
                received += piece
        except (TimeoutError, ConnectionError):
            pass
    text = received.decode("utf-8", "replace")
    assert text.startswith("HTTP/1.1 "), text[:200]
    return int(text.split(" ", 2)[1]), text


def request(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def assert_refused(status: int, text: str) -> None:
    assert 400 <= status < 500, text[:300]
    for word in TELLING:
        assert word not in text, text[:600]


@pytest.fixture(scope="module")
def job_id(service_url: str) -> Iterator[str]:
    with httpx.Client(base_url=service_url, timeout=60) as api:
        yield upload(api)["job_id"]


@pytest.mark.parametrize(
    "target",
    [
        "/download/{job}/../../../../etc/passwd",
        "/download/{job}/..%2f..%2f..%2fetc%2fpasswd",
        "/download/{job}/%2e%2e/%2e%2e/.redis/password",
        "/download/{job}/..%5c..%5c.redis%5cpassword",
        "/download/{job}/..%252f..%252fetc%252fpasswd",
        "/download/{job}/%00original.png",
        "/download/{job}/original.png%00.txt",
        "/download/{job}/original.png%0d%0aX-Injected:%201",
        "/download/{job}/.",
        "/download/{job}/..",
        "/download/.redis/password",
        "/download/..%2f.redis/password",
        "/download/.embeddings/x",
        "/download/{upper}/original.png",
        "/status/..%2f..%2f.ray_token",
        "/status/%00",
        "/status/{job}%0d%0aX-Injected:%201",
        "/status/{job}%0a",
        "/status/" + "a" * 5000,
        "/app/../../Makefile",
        "/app/..%2f..%2f..%2fMakefile",
        "/app/%2e%2e/%2e%2e/Makefile",
        "//etc/passwd",
        "/docs/..%2f..%2fMakefile",
    ],
)
def test_no_path_leads_out_of_a_jobs_folder(service_url: str, job_id: str, target: str) -> None:
    wanted = target.format(job=job_id, upper=job_id.upper()) if "{" in target else target
    status, text = exchange(service_url, request("GET", wanted))
    assert_refused(status, text)
    assert "root:" not in text and "PHONY" not in text and "X-Injected" not in text.split("\r\n\r\n")[0]


@pytest.mark.parametrize(
    "header",
    [
        "Idempotency-Key: a\rX-Injected: 1",
        "Idempotency-Key: a\nX-Injected: 1",
        "Idempotency-Key: a\x00b",
        "X-Request-ID: a\rX-Injected: 1",
        "X-Request-ID: " + "a" * 200,
        "X-Request-ID: ü<script>",
        "Bad Header: 1",
        ": nameless",
        "Content-Length: -1",
        "Content-Length: 1e3",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: zip",
        "Range: bytes=0-18446744073709551616",
        "Range: bytes=" + ",".join(f"{n}-{n}" for n in range(2000)),
    ],
)
def test_no_header_splits_or_breaks_an_answer(service_url: str, job_id: str, header: str) -> None:
    status, text = exchange(service_url, request("GET", f"/download/{job_id}/original.png", header), 3)
    assert status < 500, text[:300]
    head = text.split("\r\n\r\n")[0]
    assert "\r\nX-Injected" not in head and "<script>" not in head
    if status >= 400:
        assert_refused(status, text)


def test_two_lengths_or_a_length_and_chunks_are_not_smuggled(service_url: str, job_id: str) -> None:
    inner = f"GET /status/{job_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    for headers in (
        [f"Content-Length: {len(inner)}", "Content-Length: 0"],
        ["Content-Length: 4", "Transfer-Encoding: chunked"],
    ):
        status, text = exchange(service_url, request("POST", "/preview", *headers) + inner, 3)
        assert status == 400 and job_id not in text


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="file"; filename="../../../../tmp/evil.png"',
        'form-data; name="file"; filename="a.png\rX-Injected: 1"',
        'form-data; name="file"; filename="' + "a" * 10_000 + '"',
        'form-data; name="file"; filename="\x00"',
        "form-data; name=file; filename*=UTF-8''%2e%2e%2f%00evil",
        'form-data; name="file"',
    ],
)
def test_a_files_name_has_no_effect(api: httpx.Client, service: Service, disposition: str) -> None:
    parts = (
        b"--b\r\nContent-Disposition: "
        + disposition.encode()
        + b"\r\n\r\n"
        + png_bytes(scene())
        + b"\r\n--b--\r\n"
    )
    answer = api.post("/upload", content=parts, headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        folder = service.work_dir / answer.json()["job_id"]
        assert [path.name for path in folder.iterdir()] == ["original.png"]
    else:
        assert_refused(answer.status_code, answer.text)


@pytest.mark.parametrize(
    "form",
    [
        b"--b\r\n" * 20_000,
        b'--b\r\nContent-Disposition: form-data; name="file"\r\n' + b"A: b\r\n" * 20_000,
        b'--b\r\nContent-Disposition: form-data; name="file"\r\nX: ' + b"a" * 500_000,
        b"x" * 500_000,
        b'--b\r\nContent-Disposition: form-data; name="\xff\xfe"\r\n\r\nx\r\n--b--\r\n',
        b"--b--\r\n",
        b"",
    ],
)
def test_a_broken_form_is_refused(api: httpx.Client, form: bytes) -> None:
    answer = api.post("/upload", content=form, headers={"content-type": "multipart/form-data; boundary=b"})
    assert_refused(answer.status_code, answer.text)


NUMBERS = ["NaN", "Infinity", "-Infinity", "1e308", "1e999", "-1e308", "9" * 400, "9" * 5000, "1" + "0" * 100]


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_beyond_sense_are_refused(api: httpx.Client, job_id: str, number: str) -> None:
    bodies = {
        "/segment": f'{{"coordinates_list": [[{number}, 1]]}}',
        "/preview": f'{{"job_id": "{job_id}", "points": [[1, {number}]]}}',
    }
    for path, body in bodies.items():
        answer = api.post(
            path,
            params={"job_id": job_id} if path == "/segment" else {},
            content=body,
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 422, answer.text[:300]
        assert_refused(answer.status_code, answer.text)
    answer = api.post("/segment", params={"job_id": job_id, "coordinates_list": f"[[{number},1]]"})
    assert answer.status_code == 422
    answer = api.post(
        "/segment",
        params={"job_id": job_id},
        content=f'{{"coordinates_list": [[1, 1]], "dilate_px": {number}}}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"coordinates_list": [[1, 1]], "coordinates_list": [[1e9, 1]]}',
        b'{"coordinates_list": "\xff\xfe"}',
        b'{"objects": [{"mask": "\\ud800"}]}',
        b"\xef\xbb\xbf{}",
        b"\x00",
        b"null",
        b"[]",
        b'"text"',
        b'{"coordinates_list": [[1, 1]]',
        b'{"__proto__": {}, "coordinates_list": [[1, 1]]}',
        b'{"coordinates_list": [[true, null]]}',
        b'{"coordinates_list": {"0": [1, 1]}}',
    ],
)
def test_bodies_that_are_not_what_they_should_be_are_refused(
    api: httpx.Client, job_id: str, body: bytes
) -> None:
    answer = api.post(
        "/segment", params={"job_id": job_id}, content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code in (400, 422), answer.text[:300]
    assert_refused(answer.status_code, answer.text)
    assert len(answer.text) < 20_000


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/xml",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
        "a" * 5000,
        "",
    ],
)
def test_a_wrong_content_type_is_refused(api: httpx.Client, job_id: str, kind: str) -> None:
    for path, body in (("/upload", png_bytes(scene())), ("/segment", b'{"coordinates_list": [[1, 1]]}')):
        answer = api.post(
            path,
            params={"job_id": job_id} if path == "/segment" else {},
            content=body,
            headers={"content-type": kind},
        )
        assert_refused(answer.status_code, answer.text)


def test_ten_thousand_objects_are_refused_in_one_sentence(api: httpx.Client, job_id: str) -> None:
    for body in (
        {"coordinates_list": [[1, 1]] * 10_000},
        {"objects": [{"points": [[1, 1]]}] * 10_000},
        {"objects": [{"points": [[1, 1]] * 10_000}]},
    ):
        answer = api.post("/segment", params={"job_id": job_id}, json=body)
        assert answer.status_code == 422 and len(answer.text) < 20_000
        assert "10000" in answer.text or "at most" in answer.text, answer.text[:300]


def test_json_beyond_the_limit_is_refused_with_it(api: httpx.Client, service_url: str, job_id: str) -> None:
    head = request(
        "POST", f"/segment?job_id={job_id}", "Content-Type: application/json", "Content-Length: 50000000"
    )
    status, text = exchange(service_url, head, 5)
    assert status == 413 and "larger than the limit of 16 MB" in text


def test_serves_own_switches_are_not_the_clients(api: httpx.Client) -> None:
    for name in ("x-request-timeout-seconds", "X_Request_Timeout_Seconds"):
        assert api.get("/health", headers={name: "0.0001"}).status_code == 200
    steered = {"serve_multiplexed_model_id": "x", "x-session-id": "y", "x-request-disconnect-disabled": "?1"}
    assert api.get("/health", headers=steered).status_code == 200


def test_an_endless_upload_is_cut_and_keeps_no_memory(service: Service, service_url: str) -> None:
    watched = [
        psutil.Process(number)
        for number in service.processes("ray::ProxyActor") | service.replicas("Ingress")
    ]
    before = sum(process.memory_info().rss for process in watched)
    head = request(
        "POST", "/upload", "Content-Type: multipart/form-data; boundary=b", "Transfer-Encoding: chunked"
    )
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    host, _, port = service_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head + b"%x\r\n" % len(part) + part + b"\r\n")
        answer = b""
        begun = time.monotonic()
        try:
            for _ in range(8000):  # half a gigabyte
                connection.sendall(b"10000\r\n" + bytes(65_536) + b"\r\n")
        except OSError:
            pass
        assert time.monotonic() - begun < 15
        try:
            while piece := connection.recv(65_536):
                answer += piece
        except OSError:
            pass
    assert sum(process.memory_info().rss for process in watched) - before < 60 << 20
    if answer:
        assert answer.startswith(b"HTTP/1.1 400 ") and b"larger than the limit of 2 MB" in answer


def test_half_open_connections_do_not_hinder_others(api: httpx.Client, service_url: str) -> None:
    host, _, port = service_url.removeprefix("http://").partition(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(200)]
    try:
        for connection in idle:
            connection.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nX-")
        begun = time.monotonic()
        assert upload(api)["status"] == "uploaded"
        assert time.monotonic() - begun < 5
    finally:
        for connection in idle:
            connection.close()


def test_the_service_still_works_after_all_this(api: httpx.Client) -> None:
    job_id = upload(api)["job_id"]
    segment(api, job_id, coordinates_list=[list(DISC)])
    status: dict[str, Any] = wait(api, job_id)
    assert status["status"] == "ready"
    assert not status["job_dir"].startswith("/") and "tmp" not in json.dumps(status)
