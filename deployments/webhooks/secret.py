"""The secret that webhooks are signed with: its form, and each tenant's own.

Owns the reading of the setting WEBHOOK_SECRET and what is derived from it. Imports nothing of ours,
so that the settings can check themselves with it.
"""

from __future__ import annotations

import base64
import binascii
import hmac

PREFIX = "whsec_"
MIN_BYTES = 24


def secret_bytes(text: str) -> bytes:
    """The key in `text`, which is `whsec_` and base64.

    Raises:
        ValueError: it has another form, or is too short; the message does not contain it.
    """
    mend = f"set it to {PREFIX} and the base64 of at least {MIN_BYTES} random bytes"
    if not text.startswith(PREFIX):
        raise ValueError(f"does not begin with {PREFIX}: {mend}")
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"is not base64 after {PREFIX}: {mend}") from None
    if len(key) < MIN_BYTES:
        raise ValueError(f"has {len(key)} bytes: {mend}")
    return key


def secret_text(key: bytes) -> str:
    """The text that `secret_bytes` reads."""
    return PREFIX + base64.b64encode(key).decode("ascii")


def tenant_key(master: bytes, owner: str) -> bytes:
    """The key that webhooks of `owner`'s jobs are signed with.

    Without API keys there is one owner, "", and it is the master secret itself. A tenant's own is
    derived from it one way: nobody who verifies with it can sign for another.
    """
    return (
        master if owner == "" else hmac.digest(master, b"tapcut webhook tenant:" + owner.encode(), "sha256")
    )
