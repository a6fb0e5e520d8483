"""The setting API_KEYS: what it takes, what it refuses, and that no key is ever seen again."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.http.keys import KeyRing, parse_keys
from settings import SettingsError, read_settings

KEY = "correct-horse-battery-staple"
OTHER = "another-key-of-some-length"


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def test_settings_hold_a_key_as_its_hash_wherever_one_looks() -> None:
    settings = read_settings({"API_KEYS": f"shop={KEY}\n{OTHER}"})
    seen = [repr(settings), str(settings.as_args()), settings.model_dump_json(), str(pickle.dumps(settings))]
    for text in seen:
        assert KEY not in text and OTHER not in text
    assert settings.api_keys == f"shop=sha256:{hashed(KEY)},sha256:{hashed(OTHER)}"


def test_hashed_settings_read_again_are_the_same() -> None:
    settings = read_settings({"API_KEYS": f"shop={KEY},{OTHER}"})
    assert read_settings(settings.as_args()).api_keys == settings.api_keys


def test_a_key_opens_whether_it_was_configured_plain_or_hashed() -> None:
    for entry in (f"shop={KEY}", f"shop=sha256:{hashed(KEY)}", f"shop=sha256:{hashed(KEY).upper()}"):
        found = KeyRing(parse_keys(entry)).find(KEY.encode())
        assert found is not None and found.name == "shop"
    assert KeyRing(parse_keys(KEY)).find(OTHER.encode()) is None


def test_keys_of_one_name_are_one_owner_and_others_are_not() -> None:
    first, second, nameless, other = parse_keys(f"shop={KEY},shop={OTHER},{'n' * 20},bar={'b' * 20}")
    assert first.owner == second.owner
    assert len({first.owner, nameless.owner, other.owner}) == 3
    assert "shop" not in first.owner


def test_owner_of_a_name_is_not_reached_by_a_nameless_key() -> None:
    (named,) = parse_keys(f"{'n' * 20}={KEY}")
    (nameless,) = parse_keys("n" * 20)
    assert named.owner != nameless.owner


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("shop=short-key", "entry 1: the key has fewer than 20"),
        (f"{KEY},x", "entry 2: the key has fewer than 20"),
        (f"{KEY}\n\n b={KEY}", "entry 2: the same key as entry 1"),
        (f"{KEY},sha256:{hashed(KEY)}", "entry 2: the same key as entry 1"),
        (f"my shop={KEY}", "entry 1: the name"),
        (f"={KEY}", "entry 1: the name"),
        ("shop=sha256:abc", "entry 1: after sha256:"),
        ("a-long-name-and-no-key-behind-it=", "entry 1: no key after the name"),
        ("correct horse battery staple", "entry 1: a key is made of visible ASCII"),
        ("pässwörter-sind-auch-schön", "entry 1: a key is made of visible ASCII"),
        (" , \n", "no key in it"),
    ],
)
def test_unusable_entry_is_refused_by_its_place_without_showing_it(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({"API_KEYS": text})
    assert words in str(refused.value)
    # Logged with its causes, as Ray does with an application that cannot be built.
    everything = "".join(traceback.format_exception(refused.value))
    for secret in (KEY, "short-key", "correct horse", "pässwörter", "a-long-name"):
        assert secret not in everything


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused_and_parsed_text_is_stable(text: str) -> None:
    try:
        tenants = parse_keys(text)
    except ValueError:
        return
    assert parse_keys(",".join(tenant.entry for tenant in tenants)) == tenants


def test_command_makes_a_key_that_its_entry_lets_in() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deployments.http.keys", "shop"], capture_output=True, text=True, check=True
    )
    _, key, _, entry = (line.strip() for line in done.stdout.splitlines())
    found = KeyRing(parse_keys(entry)).find(key.encode())
    assert found is not None and found.name == "shop" and key not in entry
