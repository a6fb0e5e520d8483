"""Posts to real servers on 127.0.0.1, which tests allow as an operator would."""

from __future__ import annotations

import datetime
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deployments.webhooks.addresses import Allowance
from deployments.webhooks.pinned_network import PinnedNetwork, Resolve
from deployments.webhooks.post import Outcome, Poster, Verdict, judge
from deployments.webhooks.receiver import Receiver
from trials.webhook_server import WebhookServer, cut, endless, hang

LOOPBACK = Allowance.of(["127.0.0.1"])


def at(server: WebhookServer, scheme: str = "http", host: str = "hooks.example") -> Receiver:
    return Receiver(scheme, host, server.port, "/hook?a=b")


def always(*addresses: str) -> Resolve:
    return lambda host, port: list(addresses)


async def post(
    receiver: Receiver,
    resolve: Resolve,
    allowance: Allowance = LOOPBACK,
    trust: ssl.SSLContext | None = None,
    timeout_s: float = 5,
) -> Outcome:
    network = PinnedNetwork(allowance, resolve)
    poster = Poster(network, timeout_s, trust)
    try:
        return await poster.post(receiver, {"webhook-id": "msg_1"}, b'{"a": 1}')
    finally:
        await poster.close()
        network.close()


@pytest.fixture
async def server() -> AsyncIterator[WebhookServer]:
    with WebhookServer() as running:
        yield running


async def test_post_arrives_with_body_headers_and_the_hosts_own_name(server: WebhookServer) -> None:
    outcome = await post(at(server), always("127.0.0.1"))
    assert outcome.verdict is Verdict.DELIVERED
    (got,) = server.received
    assert (got.path, got.body) == ("/hook?a=b", b'{"a": 1}')
    assert got.headers["host"] == f"hooks.example:{server.port}"
    assert got.headers["webhook-id"] == "msg_1"
    assert got.headers["content-type"] == "application/json"


async def test_proxy_of_the_environment_is_not_used(
    server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await post(at(server), always("127.0.0.1"))).verdict is Verdict.DELIVERED


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_name_of_a_private_address_is_not_called(server: WebhookServer, address: str) -> None:
    outcome = await post(at(server), always(address), Allowance.of([]))
    assert outcome.verdict is Verdict.FAILED
    assert "address refused" in outcome.cause
    assert server.received == []


async def test_one_private_address_among_public_ones_is_enough_to_refuse(server: WebhookServer) -> None:
    outcome = await post(at(server), always("127.0.0.1", "192.168.0.1"))
    assert "192.168.0.1" in outcome.cause
    assert server.received == []


async def test_name_that_changes_after_it_was_vetted_is_called_where_it_was_vetted(
    server: WebhookServer,
) -> None:
    with WebhookServer() as other:
        asked = []

        def rebinding(host: str, port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

        outcome = await post(at(server), rebinding)
        assert outcome.verdict is Verdict.DELIVERED
        assert asked == ["hooks.example"]  # one look-up, whose answer was vetted and used
        # The next try looks again, and what it then finds is vetted again.
        network = PinnedNetwork(LOOPBACK, rebinding)
        poster = Poster(network, 5)
        refused = await poster.post(at(other), {}, b"")
        assert "127.0.0.2" in refused.cause
        assert other.received == []
        await poster.close()
        network.close()


async def test_second_address_is_tried_when_the_first_does_not_answer(server: WebhookServer) -> None:
    allowance = Allowance.of(["127.0.0.0/8"])
    outcome = await post(at(server), always("127.0.0.9", "127.0.0.1"), allowance)
    assert outcome.verdict is Verdict.DELIVERED


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        (200, Verdict.DELIVERED, "200"),
        (299, Verdict.DELIVERED, "299"),
        (410, Verdict.GONE, "410"),
        (400, Verdict.FAILED, "400"),
        (401, Verdict.FAILED, "401"),
        (500, Verdict.FAILED, "500"),
        ((302, {"Location": "http://127.0.0.1:1/"}), Verdict.FAILED, "redirects are not followed"),
        ((308, {"Location": "/other"}), Verdict.FAILED, "redirects are not followed"),
        (cut, Verdict.FAILED, "ProtocolError"),
        (endless, Verdict.DELIVERED, "200"),
        (hang(2), Verdict.FAILED, "no answer within 1 s"),
    ],
)
async def test_answer_is_judged(server: WebhookServer, answer: object, verdict: Verdict, words: str) -> None:
    server.script.append(answer)  # type: ignore[arg-type]
    outcome = await post(at(server), always("127.0.0.1"), timeout_s=1)
    assert outcome.verdict is verdict
    assert words in outcome.cause
    assert len(server.received) == 1


async def test_server_that_is_not_there_and_name_that_is_unknown_are_failures() -> None:
    with WebhookServer() as gone:
        pass
    assert "ConnectError" in (await post(at(gone), always("127.0.0.1"))).cause

    def unknown(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    assert "the name is not known" in (await post(at(gone), unknown)).cause
    assert "no address" in (await post(at(gone), always())).cause


async def test_name_server_that_hangs_is_waited_for_no_longer_than_the_try(server: WebhookServer) -> None:
    def slow(host: str, port: int) -> list[str]:
        time.sleep(1.5)
        return ["127.0.0.1"]

    began = time.monotonic()
    outcome = await post(at(server), slow, timeout_s=0.3)
    assert outcome.verdict is Verdict.FAILED
    assert time.monotonic() - began < 1.4


@pytest.mark.parametrize(
    ("status", "value", "low", "high"),
    [
        (429, b"7", 7, 7),
        (503, b" 120 ", 120, 120),
        (429, b"soon", 0, 0),
        (429, b"-5", 0, 0),
        (429, b"9" * 400, 1, float("inf")),
        (429, b"\xff", 0, 0),
        (429, b"Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        (500, b"7", 0, 0),
    ],
)
def test_retry_after_is_read_where_it_has_a_meaning(
    status: int, value: bytes, low: float, high: float
) -> None:
    assert low <= judge(status, value).retry_after_s <= high


def test_retry_after_may_be_a_date() -> None:
    date = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    assert 55 < judge(503, format_datetime(date, usegmt=True).encode()).retry_after_s <= 60


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for hooks.example, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "hooks.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[tuple[WebhookServer, list[str | None]]]:
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with WebhookServer(tls=context) as server:
        yield server, names


async def test_https_asks_for_and_checks_the_hosts_name_at_the_vetted_address(
    secure: tuple[WebhookServer, list[str | None]], certificate: Path
) -> None:
    server, names = secure
    trust = ssl.create_default_context(cafile=str(certificate))
    outcome = await post(at(server, "https"), always("127.0.0.1"), trust=trust)
    assert outcome.verdict is Verdict.DELIVERED, outcome.cause
    assert names == ["hooks.example"]
    assert server.received[0].headers["host"] == f"hooks.example:{server.port}"


async def test_certificate_of_another_name_or_of_nobody_known_is_refused(
    secure: tuple[WebhookServer, list[str | None]], certificate: Path
) -> None:
    server, _ = secure
    trust = ssl.create_default_context(cafile=str(certificate))
    other = await post(at(server, "https", "other.example"), always("127.0.0.1"), trust=trust)
    assert "certificate" in other.cause.lower()
    unknown = await post(at(server, "https"), always("127.0.0.1"))
    assert "certificate" in unknown.cause.lower()
    assert server.received == []
