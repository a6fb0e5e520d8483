"""The edge over real sockets, in front of an application that counts what it gets."""

from __future__ import annotations

import asyncio
import json
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from deployments.http.edge import CARRIED_BYTES, WINDOW_BYTES, Edge, EdgeLimits
from deployments.http.edge_connection import GuardedConnection, guard_connections

LIMITS = EdgeLimits(
    upload_bytes=1_000_000,
    json_bytes=100_000,
    silence_s=0.5,
    body_s=2.0,
    head_s=0.7,
    cors_origins=("https://page.example",),
    arriving=6,
    waiting=20,
)
FORM = b"Content-Type: multipart/form-data; boundary=b\r\n"


async def counting(scope: Scope, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more and scope["path"] != "/early":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    heard = {name.decode(): value.decode() for name, value in scope["headers"]}
    body = json.dumps({"size": size, "headers": heard}).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(app: object) -> Iterator[int]:
    guard_connections(LIMITS)
    uvicorn.config.HTTP_PROTOCOLS["auto"] = "uvicorn.protocols.http.auto:AutoHTTPProtocol"
    config = uvicorn.Config(app, port=0, http=GuardedConnection, log_level="critical", lifespan="off")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    running = threading.Thread(target=server.run)
    running.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        running.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(Edge(counting, LIMITS, at_socket=True)) as port:
        yield port


_opened: list[socket.socket] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.settimeout(10)
    _opened.append(connection)
    return connection


def everything(connection: socket.socket) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, headers and JSON of an answer, read until the server closes."""
    data = b""
    while piece := connection.recv(65_536):
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body = body.split(b"\r\n")[1]
    return int(lines[0].split()[1]), headers, json.loads(body)


def ask(
    port: int, headers: bytes, body: bytes = b"", path: bytes = b"/upload"
) -> tuple[int, dict[str, str], dict]:
    connection = connect(port)
    connection.sendall(
        b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + b"\r\n" + body
    )
    return everything(connection)


@pytest.mark.parametrize(
    "name",
    [
        b"X-Request-Timeout-Seconds",
        b"x_request_timeout_seconds",
        b"x-request-disconnect-disabled",
        b"X-Session-Id",
        b"x_session_id",
        b"serve_multiplexed_model_id",
        b"Serve-Multiplexed_Model-Id",
        b"X-Serve-Router-Anything",
    ],
)
def test_headers_that_steer_serve_are_taken_away(port: int, name: bytes) -> None:
    status, _, answer = ask(port, name + b": 1\r\nX-Other: kept\r\nContent-Length: 1\r\n", b"a")
    assert status == 200
    assert answer["headers"]["x-other"] == "kept"
    assert name.lower().decode() not in answer["headers"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"sane-1.0_x", True),
        (b"a" * 128, True),
        (b"a" * 129, False),
        (b"spaces here", False),
        (b"\xff\xfe", False),
        (b"<script>", False),
    ],
)
def test_only_a_harmless_request_id_is_kept(port: int, given: bytes, kept: bool) -> None:
    _, _, answer = ask(port, b"X-Request-ID: " + given + b"\r\nContent-Length: 0\r\n")
    heard = answer["headers"]["x-request-id"]
    assert (heard.encode("latin-1") == given) == kept
    assert heard


def test_an_announced_body_beyond_the_limit_is_refused_before_it_is_sent(port: int) -> None:
    connection = connect(port)
    connection.sendall(
        b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n" + FORM + b"\r\n"
    )
    begun = time.monotonic()
    first = connection.recv(65_536)
    assert time.monotonic() - begun < 0.5 and first.startswith(b"HTTP/1.1 400 ")
    assert b"Upload failed: the file is larger than the limit of 1 MB" in first + connection.recv(65_536)


def test_another_body_has_a_limit_of_its_own(port: int) -> None:
    status, headers, answer = ask(
        port, b"Content-Length: 100001\r\nOrigin: https://page.example\r\n", b"x" * 100_001, b"/segment"
    )
    assert (status, answer["detail"]) == (413, "The body is larger than the limit of 0.1 MB")
    assert headers["access-control-allow-origin"] == "https://page.example"
    assert headers["x-request-id"] == answer["request_id"]


def test_an_endless_body_is_cut_at_the_limit(port: int) -> None:
    connection = connect(port)
    connection.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    sent = 0
    try:
        while sent < 400_000_000:
            connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            sent += 65_536
    except OSError:
        pass
    assert sent < 400_000_000


def test_a_refused_client_that_sends_on_still_reads_the_answer(port: int) -> None:
    status, _, answer = ask(port, b"Content-Length: 3000000\r\n", b"x" * 3_000_000)
    assert status == 400 and "1 MB" in answer["detail"]
    status, _, _ = ask(port, b"Content-Length: 90000\r\n", b"x" * 90_000, b"/early")
    assert status == 200


def test_a_silent_body_is_refused(port: int) -> None:
    status, _, answer = ask(port, b"Content-Length: 100\r\n", b"x")
    assert (status, answer["detail"]) == (408, "Upload failed: no byte of the body came for 0.5 s")


def test_a_body_that_trickles_is_refused_in_the_end(port: int) -> None:
    connection = connect(port)
    connection.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    begun = time.monotonic()
    connection.settimeout(0.1)
    while time.monotonic() - begun < 5:
        connection.sendall(b"x")
        try:
            if connection.recv(1, socket.MSG_PEEK):
                break
        except TimeoutError:
            continue
    connection.settimeout(5)
    status, _, answer = everything(connection)
    assert (status, answer["detail"]) == (408, "The body took more than 2 s")
    assert 1.5 < time.monotonic() - begun < 5


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX-"])
def test_a_head_that_does_not_end_is_refused(port: int, begun: bytes) -> None:
    connection = connect(port)
    connection.sendall(begun)
    started = time.monotonic()
    status, _, answer = everything(connection)
    assert (status, answer["detail"]) == (408, "The request's head took more than 0.7 s")
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /" + b"a" * 80_000,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 80_000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
    ],
)
def test_a_head_that_is_too_large_is_refused(port: int, begun: bytes) -> None:
    connection = connect(port)
    connection.sendall(begun)
    assert connection.recv(65_536).startswith(b"HTTP/1.1 431 ")


def test_a_connection_serves_one_request_after_another(port: int) -> None:
    connection = connect(port)
    for size in (0, 50_000, 7):
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        answer = connection.recv(65_536)
        assert b'"size": %d' % size in answer
    time.sleep(LIMITS.head_s + 0.2)  # an answered connection may be idle longer than a head may take
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(("length", "comes_along"), [(300, True), (CARRIED_BYTES + 1, False)])
def test_a_short_body_reaches_the_ingress_with_its_head_and_only_once(length: int, comes_along: bool) -> None:
    fetched: list[str] = []
    after_answer: list[str] = []

    async def ingress(scope: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message["more_body"]
        answer = json.dumps({"size": size, "fetched": len(fetched)}).encode()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
        after_answer.append((await receive())["type"])  # how streams learn that their client has gone

    inner = Edge(ingress, LIMITS, at_socket=False)

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        async def fetch() -> Message:
            message = await receive()
            fetched.append(message["type"])
            return message

        sent = {name: value for name, value in scope.items() if name != "state"}
        await inner(pickle.loads(pickle.dumps(sent)), fetch, send)

    with serving(Edge(proxy, LIMITS, at_socket=True)) as port:
        head = f"Content-Length: {length}\r\n".encode()
        status, _, answer = ask(port, head, b"x" * length, b"/segment")
    assert (status, answer["size"]) == (200, length)
    assert (answer["fetched"] == 0) is comes_along
    assert after_answer == ["http.disconnect"]


def test_the_slowest_bodies_make_way_when_many_arrive(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.http.edge.SLOW_S", 0.2)
    slow = [connect(port) for _ in range(6)]
    for number, connection in enumerate(slow):
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + b"x" * number * 100
        )
    time.sleep(0.3)
    status, _, _ = ask(port, b"Content-Length: 1000\r\n", b"x" * 1000)
    assert status == 200
    for number, connection in enumerate(slow[1:], start=1):
        connection.sendall(b"x" * (5000 - number * 100))
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")

    status, headers, answer = everything(slow[0])
    assert status == 503 and headers["retry-after"] == "5" and "slow" in answer["detail"]


def test_the_oldest_silent_connections_are_closed_when_there_are_many(port: int) -> None:
    silent = [connect(port) for _ in range(30)]
    status, _, _ = ask(port, b"Content-Length: 0\r\n")
    assert status == 200
    silent[0].settimeout(0.2)
    with suppress(ConnectionResetError):
        assert silent[0].recv(1) == b""
    silent[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert silent[-1].recv(100).startswith(b"HTTP/1.1 200 ")


def test_no_more_is_read_than_the_service_takes() -> None:
    held: list[object] = []

    async def hoarding(scope: Scope, receive: Receive, send: Send) -> None:
        while len(held) < 1000:
            held.append(await receive())  # what Serve's proxy does until the ingress fetches

    with serving(Edge(hoarding, LIMITS, at_socket=True)) as port:
        connection = connect(port)
        connection.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n")
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.sendall(b"x" * 20_000_000)
        taken = sum(len(message["body"]) for message in held)  # type: ignore[index]
        assert WINDOW_BYTES / 2 < taken < 2 * WINDOW_BYTES
        assert pickle.loads(pickle.dumps(held[0])) == dict(held[0])  # type: ignore[call-overload]
        assert type(pickle.loads(pickle.dumps(held[0]))) is dict
        held.clear()


async def test_in_the_ingress_the_same_limits_hold_without_a_socket() -> None:
    sent: list[dict] = []

    async def endless() -> dict:
        return {"type": "http.request", "body": b"x" * 60_000, "more_body": True}

    async def collect(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/segment", "headers": [(b"transfer-encoding", b"chunked")]}
    async with asyncio.timeout(5):
        await Edge(counting, LIMITS, at_socket=False)(scope, endless, collect)  # type: ignore[arg-type]
    assert sent[0]["status"] == 413 and not any(name == b"x-request-id" for name, _ in sent[0]["headers"])
