"""The edge in front of the session's service, and in front of a server that shows what reached it."""

from __future__ import annotations

import datetime
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from settings import Settings
from tests.deploy.edge import NGINX, NGINX_FOLDER, running_nginx, write_configuration
from tests.service.pictures import DISC, png_bytes, scene, segment
from trials.service import Service, free_port

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx-light")


@pytest.fixture(scope="module")
def edge(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        running_nginx(tmp_path_factory.mktemp("edge"), service.url.removeprefix("http://")) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


class Mirror(BaseHTTPRequestHandler):
    """Answers with the request's headers; ends the connection for `broken`; tells two events apart."""

    protocol_version = "HTTP/1.1"
    seen: list[str]
    first_event_came: threading.Event

    def answer(self) -> None:
        self.seen.append(f"{self.command} {self.path}")
        if self.path.endswith("broken"):
            self.close_connection = True
            self.connection.close()
            return
        if self.path.startswith("/events/"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"data: first\n\n")
            in_time = self.first_event_came.wait(5)
            self.wfile.write(b"data: second\n\n" if in_time else b"data: too late\n\n")
            return
        headers = [f"{name.lower()}: {value}" for name, value in self.headers.items()]
        body = json.dumps(headers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        """Nothing on the tests' output."""


@pytest.fixture(scope="module")
def mirror() -> Iterator[ThreadingHTTPServer]:
    Mirror.seen, Mirror.first_event_came = [], threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def mirrored(mirror: ThreadingHTTPServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    upstream = f"127.0.0.1:{mirror.server_port}"
    with (
        running_nginx(tmp_path_factory.mktemp("mirrored"), upstream) as url,
        httpx.Client(base_url=url, timeout=20) as client,
    ):
        yield client


def test_a_whole_job_goes_through_the_edge(edge: httpx.Client) -> None:
    uploaded = edge.post("/upload", files={"file": ("p.png", png_bytes(scene()), "image/png")})
    assert uploaded.status_code == 200, uploaded.text
    job_id = uploaded.json()["job_id"]
    segment(edge, job_id, coordinates_list=[DISC])
    with edge.stream("GET", f"/events/{job_id}") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = (line.removeprefix("data: ") for line in events.iter_lines() if line.startswith("data: "))
        assert "ready" in (json.loads(line)["status"] for line in lines)
    whole = edge.get(f"/download/{job_id}/full_inpainted.png")
    assert whole.status_code == 200 and whole.headers["accept-ranges"] == "bytes"
    part = edge.get(f"/download/{job_id}/full_inpainted.png", headers={"Range": "bytes=100-299"})
    assert part.status_code == 206 and part.content == whole.content[100:300]
    assert edge.delete(f"/cleanup/{job_id}").status_code == 200


def test_security_headers_come_once(edge: httpx.Client) -> None:
    answer = edge.get("/app/")
    names = [name.lower() for name, _ in answer.headers.multi_items()]
    for name in ("content-security-policy", "x-content-type-options", "cross-origin-opener-policy"):
        assert names.count(name) == 1, name
    assert "uvicorn" not in answer.headers["server"] and "/" not in answer.headers["server"]


@pytest.mark.parametrize("path", ["/-/routes", "/-/healthz", "//-/routes", "/app/../-/routes", "/%2d/routes"])
def test_rays_own_routes_are_hidden(edge: httpx.Client, service_url: str, path: str) -> None:
    assert "tapcut" in httpx.get(f"{service_url}/-/routes").text
    answer = edge.get(path)
    assert answer.status_code == 404 and answer.json()["detail"] == "No such address: GET / lists the calls"


def test_the_counters_are_for_the_monitoring_only(edge: httpx.Client) -> None:
    assert edge.get("/metrics").status_code == 404


def test_too_large_a_file_is_refused_by_nginx_with_the_services_status(edge: httpx.Client) -> None:
    answer = edge.post("/upload", files={"file": ("p.png", b"\0" * 2_100_000, "image/png")})
    assert answer.status_code == 400
    problem = answer.json()
    assert problem["detail"] == "Upload failed: the file is larger than the limit of 2016384 bytes"
    assert answer.headers["content-type"] == "application/problem+json"
    assert "x-request-id" not in answer.headers  # the service never saw it


def test_too_large_a_body_is_refused_by_nginx_in_our_words(edge: httpx.Client) -> None:
    answer = edge.post("/segment", json={"objects": ["x" * 400_000]})
    assert (answer.status_code, answer.json()["title"]) == (413, "Request Entity Too Large")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "x-request-id" not in answer.headers


def test_headers_that_steer_serve_and_forged_forwarding_do_not_pass(mirrored: httpx.Client) -> None:
    forged = {
        "X-Request-Timeout-Seconds": "1",
        "x-request-disconnect-disabled": "true",
        "X-Session-Id": "s",
        "serve_multiplexed_model_id": "m",
        "Serve-Multiplexed-Model-Id": "m",
        "X-Forwarded-For": "10.9.8.7",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Host": "evil.example",
        "X-Real-IP": "10.9.8.7",
        "Forwarded": "for=10.9.8.7",
        "Idempotency-Key": "kept",
        "Authorization": "Bearer kept",
    }
    seen = mirrored.get("/status/x", headers=forged).json()
    names = [line.partition(":")[0] for line in seen]
    for name in list(forged)[:5]:
        assert name.lower() not in names
    assert "x-forwarded-for: 127.0.0.1" in seen and "x-forwarded-proto: http" in seen
    assert not any("10.9.8.7" in line or "evil" in line or "gopher" in line for line in seen)
    assert {"idempotency-key: kept", "authorization: Bearer kept"} <= set(seen)


def test_an_event_passes_when_it_happens(mirrored: httpx.Client) -> None:
    came = []
    with mirrored.stream("GET", "/events/x") as events:
        for line in events.iter_lines():
            if line:
                came.append(line)
                Mirror.first_event_came.set()
    assert came == ["data: first", "data: second"]


@pytest.mark.parametrize(
    ("method", "path", "times"),
    [("GET", "/broken", None), ("POST", "/segment-broken", 1), ("DELETE", "/cleanup/broken", 1)],
)
def test_only_reading_is_sent_to_the_service_again(
    mirrored: httpx.Client, method: str, path: str, times: int | None
) -> None:
    answer = mirrored.request(method, path)
    assert answer.status_code == 503 and answer.headers["retry-after"] == "2"
    assert answer.json()["detail"].startswith("The service does not answer just now")
    if times is not None:
        assert Mirror.seen.count(f"{method} {path}") == times


def test_one_address_cannot_post_without_end(mirror: ThreadingHTTPServer, tmp_path: Path) -> None:
    upstream = f"127.0.0.1:{mirror.server_port}"
    with running_nginx(tmp_path, upstream, TAPCUT_RATE="1r/s") as url, httpx.Client(base_url=url) as client:
        answers = [client.post("/preview") for _ in range(60)]
        assert client.get("/status/x").status_code == 200
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 0 < len(refused) < 20 and refused[0].headers["retry-after"] == "2"
    assert refused[0].json()["status"] == 429
    assert '"call":"/preview"' in (tmp_path / "access.log").read_text()


def test_with_a_certificate_it_speaks_tls_and_sends_plain_http_there(
    mirror: ThreadingHTTPServer, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "c.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "k.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    tls_port = free_port()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with running_nginx(
        tmp_path / "edge",
        f"127.0.0.1:{mirror.server_port}",
        tls_port=tls_port,  # type: ignore[arg-type]
        TAPCUT_HTTP="redirect",
        TAPCUT_CERTIFICATE=str(tmp_path / "c.pem"),
        TAPCUT_CERTIFICATE_KEY=str(tmp_path / "k.pem"),
    ) as url:
        plain = httpx.get(f"{url}/status/x?a=1")
        secure = httpx.get(f"https://127.0.0.1:{tls_port}/status/x", verify=context)
    assert plain.status_code == 308 and plain.headers["location"] == "https://127.0.0.1/status/x?a=1"
    assert secure.status_code == 200 and secure.headers["strict-transport-security"]
    assert "x-forwarded-proto: https" in secure.json()


def test_nginx_finds_no_fault_with_the_templates(tmp_path: Path) -> None:
    main = write_configuration(tmp_path, 8080, "127.0.0.1:8000")
    assert NGINX is not None
    checked = subprocess.run(
        [NGINX, "-t", "-c", main, "-e", tmp_path / "error.log"], capture_output=True, text=True, check=False
    )
    said = checked.stderr + (tmp_path / "error.log").read_text()
    assert checked.returncode == 0 and "[warn]" not in said, said


def test_the_edges_limits_are_those_of_the_service() -> None:
    defaults = Settings(_env_file=None)  # type: ignore[call-arg]
    routes = (NGINX_FOLDER / "templates" / "tapcut.routes.template").read_text()
    assert f"client_header_timeout {defaults.head_timeout_s:g}s;" in routes
    assert f"client_body_timeout {defaults.body_silence_s:g}s;" in routes
