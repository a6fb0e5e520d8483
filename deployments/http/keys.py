"""API keys: how they are configured, held and recognised. `python -m deployments.http.keys NAME` makes one.

Owns the form of the setting `API_KEYS` and the comparison. A key is turned into its SHA-256 when it is
read and never kept: what is compared, printed, pickled or sent on is the digest.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

MIN_KEY_LENGTH = 20
HASHED = "sha256:"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_KEY = re.compile(r"[!-+\--~]+")  # visible ASCII without the comma that parts entries
_DIGEST = re.compile(r"[0-9a-f]{64}")


class KeyEntryError(ValueError):
    """An entry of API_KEYS cannot be used; the message names its place, never its text."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whoever may use the service with one key, or with several of the same name."""

    name: str  # "" of a nameless key
    digest: str  # SHA-256 of the key, hex

    @property
    def owner(self) -> str:
        """What jobs carry: opaque, the same for all keys of one name."""
        # The two kinds cannot meet: no name could be chosen so that it becomes another's nameless key.
        source = f"name:{self.name}" if self.name else f"key:{self.digest}"
        return hashlib.sha256(source.encode()).hexdigest()[:32]

    @property
    def label(self) -> str:
        """What logs call it."""
        return self.name or f"key-{self.digest[:8]}"

    @property
    def entry(self) -> str:
        """This tenant's key as an entry of API_KEYS."""
        return f"{self.name}={HASHED}{self.digest}" if self.name else f"{HASHED}{self.digest}"


def parse_keys(text: str) -> tuple[Tenant, ...]:
    """The tenants of entries `key` or `name=key`, parted by commas or lines; a key may be `sha256:<64 hex>`.

    Raises:
        KeyEntryError: an entry is malformed, its key is short, or a key comes twice.
    """
    entries = [entry.strip() for entry in re.split(r"[,\r\n]", text)]
    tenants: list[Tenant] = []
    for place, entry in enumerate(filter(None, entries), start=1):
        tenant = _parse_entry(f"entry {place}", entry)
        for earlier, other in enumerate(tenants, start=1):
            if other.digest == tenant.digest:
                raise KeyEntryError(f"entry {place}: the same key as entry {earlier}")
        tenants.append(tenant)
    if text and not tenants:
        raise KeyEntryError("no key in it: unset it to serve everybody, or give a key")
    return tuple(tenants)


def _parse_entry(place: str, entry: str) -> Tenant:
    # A generated key may end in "="; a name is followed by something else than that.
    name, parted, key = entry.partition("=") if "=" in entry.rstrip("=") else ("", "", entry)
    if not parted and entry.endswith("="):
        raise KeyEntryError(f"{place}: no key after the name; a key that ends in = needs a name before it")
    if parted and not _NAME.fullmatch(name):
        # Not shown: where "=" is part of a key, the text before it is, too.
        raise KeyEntryError(
            f"{place}: the name before = must be 1 to 63 letters, digits, dots, dashes or underscores"
        )
    if key.lower().startswith(HASHED):
        digest = key[len(HASHED) :].lower()
        if not _DIGEST.fullmatch(digest):
            raise KeyEntryError(f"{place}: after {HASHED} there must be 64 hexadecimal digits")
        return Tenant(name, digest)
    if len(key) < MIN_KEY_LENGTH:
        raise KeyEntryError(
            f"{place}: the key has fewer than {MIN_KEY_LENGTH} characters; "
            "`python -m deployments.http.keys NAME` makes a good one"
        )
    if not _KEY.fullmatch(key):
        raise KeyEntryError(f"{place}: a key is made of visible ASCII characters without spaces")
    return Tenant(name, digest_of(key.encode("ascii")).hex())


def digest_of(key: bytes) -> bytes:
    """What is kept of a key: its SHA-256, 32 bytes."""
    return hashlib.sha256(key).digest()


class KeyRing:
    """The configured keys. Empty: the service is open."""

    def __init__(self, tenants: tuple[Tenant, ...]) -> None:
        self._keys = [(bytes.fromhex(tenant.digest), tenant) for tenant in tenants]

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: bytes) -> Tenant | None:
        """Whose key this is. Takes the same time whichever key matches, and when none does."""
        digest, found = digest_of(key), None
        for known, tenant in self._keys:
            if hmac.compare_digest(known, digest):
                found = tenant
        return found


def main() -> None:
    """Make a key and say what to configure."""
    parser = argparse.ArgumentParser(
        prog="python -m deployments.http.keys", description="Make an API key of 256 random bits."
    )
    parser.add_argument("name", help="whose key it is; several keys of one name share their jobs")
    name = parser.parse_args().name
    if not _NAME.fullmatch(name):
        parser.error("a name is 1 to 63 letters, digits, dots, dashes or underscores")
    key = f"tapcut_{secrets.token_urlsafe(32)}"
    tenant = Tenant(name, digest_of(key.encode()).hex())
    print(f"Key, shown only now; give it to {name}:\n  {key}\nEntry for API_KEYS:\n  {tenant.entry}")


if __name__ == "__main__":
    main()
