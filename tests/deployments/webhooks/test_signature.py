from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from deployments.http.keys import parse_keys
from deployments.webhooks import signature
from deployments.webhooks.secret import secret_bytes, secret_text, tenant_key
from deployments.webhooks.signature import signed_headers
from docs.webhook_receiver import verify
from settings import SettingsError, read_settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_signature_is_that_of_the_convention() -> None:
    # The convention's own example.
    headers = signed_headers(
        secret_bytes(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_receiver_takes_what_is_signed_and_refuses_what_was_changed() -> None:
    headers = signed_headers(secret_bytes(SECRET), "msg_1", int(time.time()), b"body")
    assert verify(SECRET, headers, b"body")
    assert not verify(SECRET, headers, b"other")
    assert not verify(SECRET, {**headers, "webhook-id": "msg_2"}, b"body")
    assert not verify(secret_text(b"x" * 24), headers, b"body")
    assert not verify(SECRET, {}, b"body")
    old = signed_headers(secret_bytes(SECRET), "msg_1", int(time.time()) - 3600, b"body")
    assert not verify(SECRET, old, b"body")


def test_each_tenant_has_a_secret_of_its_own() -> None:
    master = secret_bytes(SECRET)
    keys = [tenant_key(master, owner) for owner in ("", "a", "b")]
    assert len(set(keys)) == 3
    assert keys[0] == master
    assert all(len(key) >= 24 for key in keys)


@pytest.mark.parametrize("secret", ["short", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!", SECRET[6:]])
def test_secret_that_is_none_is_refused_and_not_repeated(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    with pytest.raises(SettingsError, match="WEBHOOK_SECRET") as refused:
        read_settings()
    assert secret == "whsec_" or secret not in str(refused.value) + repr(refused.value.__cause__)


def test_secret_reaches_the_replicas_but_neither_their_arguments_nor_any_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("REDIS_URL", "redis://:word@127.0.0.1:1/0")
    settings = read_settings()
    assert settings.as_environment()["WEBHOOK_SECRET"] == SECRET
    assert read_settings(settings.as_args()) == settings
    assert "word" not in str(settings.as_args())
    for text in (repr(settings), f"{settings.webhook_secret}", str(settings.as_args())):
        assert SECRET not in text and SECRET[6:] not in text


def test_secret_in_the_arguments_is_refused_because_ray_logs_them() -> None:
    with pytest.raises(SettingsError, match=r"WEBHOOK_SECRET.*environment"):
        read_settings({"webhook_secret": SECRET})


def test_command_prints_the_secret_that_a_tenants_receiver_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    assert signature.main([]) == 0
    assert capsys.readouterr().out.strip() == SECRET
    monkeypatch.setenv("API_KEYS", f"ann={'a' * 20},bob={'b' * 20}")
    owners = {tenant.name: tenant.owner for tenant in parse_keys(os.environ["API_KEYS"])}
    assert signature.main(["bob"]) == 0
    bobs = secret_text(tenant_key(secret_bytes(SECRET), owners["bob"]))
    assert capsys.readouterr().out == f"bob\t{bobs}\n"
    assert signature.main([]) == 0
    assert capsys.readouterr().out.count("whsec_") == 2
    assert signature.main(["eve"]) == 1
    monkeypatch.delenv("WEBHOOK_SECRET")
    assert signature.main([]) == 1
    assert "WEBHOOK_SECRET" in capsys.readouterr().err
