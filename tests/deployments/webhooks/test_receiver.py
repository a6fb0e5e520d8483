from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployments.http.callbacks import read_callback
from deployments.http.problems import FieldsRefusedError
from deployments.webhooks.addresses import Allowance
from deployments.webhooks.receiver import Receiver, ReceiverRefusedError, ReceiverRules
from settings import read_settings

INTERNET = ReceiverRules(("https",), (443, 8443), Allowance.of([]))
WITH_HTTP = ReceiverRules(("https", "http"), (443, 8443, 80, 8080), Allowance.of([]))
WITH_LAN = ReceiverRules(("https", "http"), (443,), Allowance.of(["10.0.0.0/8", "hooks.intern", "localhost"]))


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM:443/a?b=c%20d", "https://example.com/a?b=c%20d"),
        ("https://example.com.:8443/a", "https://example.com:8443/a"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2A00:1450:0::1]:8443/x", "https://[2a00:1450::1]:8443/x"),
        ("https://example.com?x", "https://example.com/?x"),
    ],
)
def test_public_https_address_is_taken_in_its_normal_form(url: str, normal: str) -> None:
    assert Receiver.read(url, INTERNET).url == normal
    assert Receiver.read(normal, INTERNET).url == normal


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/", "begin it with https://"),
        ("ftp://example.com/", "begin it with"),
        ("example.com/hook", "begin it with"),
        ("", "begin it with"),
        ("//example.com/", "begin it with"),
        ("https://", "not a valid name"),
        ("https:///path", "not a valid name"),
        ("https://user@example.com/", "user name"),
        ("https://user:word@example.com/", "user name"),
        ("https://example.com@127.0.0.1/", "user name"),
        ("https://example.com/#a", "fragment"),
        ("https://example.com/a b", "percent-encode"),
        ("https://example.com/\r\nX-Header: 1", "percent-encode"),
        ("https://exa\nmple.com/", "percent-encode"),
        ("https://example.com/ü", "percent-encode"),
        ("https://example.com\\@127.0.0.1/", "user name|percent-encode"),
        ("https://example.com:22/", "port 22 is not open"),
        ("https://example.com:6379/", "port 6379 is not open"),
        ("https://example.com:0/", "port 0 is not open"),
        ("https://example.com:99999/", "not a URL"),
        ("https://example.com:x/", "not a URL"),
        ("https://" + "a" * 64 + ".example/", "not a valid name"),
        ("https://" + ".".join(["abcdefgh"] * 30) + "/", "not a valid name"),
        ("https://example.com/" + "a" * 2048, "longer than 2048"),
        ("https://ex ample.com/", "percent-encode"),
        ("https://a..example/", "not a valid name"),
        ("https://-a.example/", "not a valid name"),
        ("https://a%2eexample/", "not a valid name"),
        ("https://localhost/", "not on the public internet"),
        ("https://redis/", "not on the public internet"),
        ("https://a.localhost/", "not on the public internet"),
        ("https://metadata.google.internal/", "not on the public internet"),
        ("https://printer.local/", "not on the public internet"),
        ("https://127.0.0.1/", "not on the public internet"),
        ("https://169.254.169.254/latest/meta-data", "not on the public internet"),
        ("https://10.0.0.1/", "not on the public internet"),
        ("https://[::1]/", "not on the public internet"),
        ("https://[::ffff:127.0.0.1]/", "not on the public internet"),
        ("https://[64:ff9b::7f00:1]/", "not on the public internet"),
        ("https://[fe80::1%25eth0]/", "zone"),
        ("https://[::1/", "not a URL"),
        ("https://[v1.a:b]/", "not an? "),
        ("https://127.1/", "neither a name nor an address"),
        ("https://2130706433/", "neither a name nor an address"),
        ("https://0x7f000001/", "neither a name nor an address"),
        ("https://0x7f.0.0.0x1/", "neither a name nor an address"),
        ("https://0177.0.0.1/", "neither a name nor an address"),
        ("https://１２７.0.0.1/", "not on the public internet"),
        ("https://ⓛocalhost/", "not on the public internet"),
    ],
)
def test_address_that_cannot_be_used_is_refused_with_its_reason(url: str, reason: str) -> None:
    with pytest.raises(ReceiverRefusedError, match=reason):
        Receiver.read(url, INTERNET)


def test_http_and_its_ports_are_open_only_where_the_operator_says_so() -> None:
    assert Receiver.read("http://example.com/", WITH_HTTP).url == "http://example.com/"
    assert Receiver.read("http://example.com:8080/", WITH_HTTP).port == 8080
    with pytest.raises(ReceiverRefusedError, match="port 81"):
        Receiver.read("http://example.com:81/", WITH_HTTP)


def test_hosts_that_the_operator_names_are_open_on_any_port() -> None:
    for url in ("http://10.1.2.3:1234/", "http://hooks.intern:9/", "http://localhost:5000/"):
        assert Receiver.read(url, WITH_LAN).url == url
    for url in ("http://127.0.0.1:5000/", "http://11.0.0.1:1234/", "http://other.intern/"):
        with pytest.raises(ReceiverRefusedError):
            Receiver.read(url, WITH_LAN)


def test_without_a_secret_no_webhook_is_promised() -> None:
    assert read_callback(None, read_settings()) is None
    with pytest.raises(FieldsRefusedError, match=r"callback_url: .*WEBHOOK_SECRET"):
        read_callback("https://example.com/", read_settings())


@given(st.one_of(st.text(), st.text().map("https://".__add__), st.from_regex(r"https?://[!-~]{1,40}")))
@example("https://[::]:0")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        receiver = Receiver.read(text, WITH_HTTP)
    except ReceiverRefusedError:
        return
    assert Receiver.read(receiver.url, WITH_HTTP) == receiver
    assert receiver.url.isascii() and receiver.url.isprintable() and " " not in receiver.url
