"""Signatures after the Standard Webhooks convention (github.com/standard-webhooks/standard-webhooks).

Owns what is signed. `python -m deployments.webhooks.signature [NAME]` prints the secrets that tenants
verify with.
"""

from __future__ import annotations

import argparse
import base64
import hmac
import sys

from deployments.http.keys import parse_keys
from deployments.webhooks.secret import secret_bytes, secret_text, tenant_key
from settings import SettingsError, read_settings


def signed_headers(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers that a receiver verifies `body` with. `timestamp_s` is the time of this try."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{signature}",
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the secret, with API keys each tenant's name and secret. Answers the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deployments.webhooks.signature",
        description="Print what receivers of webhooks verify with; with API_KEYS, one secret a tenant.",
    )
    parser.add_argument("name", nargs="?", help="of the API key, as in logs; left out: all")
    options = parser.parse_args(arguments)
    try:
        settings = read_settings()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    if settings.webhook_secret is None:
        print("setting WEBHOOK_SECRET: not set, so no webhooks are sent", file=sys.stderr)
        return 1
    master = secret_bytes(settings.webhook_secret.get_secret_value())
    tenants = {tenant.label: tenant.owner for tenant in parse_keys(settings.api_keys)}
    if not tenants and options.name is None:
        print(secret_text(tenant_key(master, "")))
    elif options.name is not None and options.name not in tenants:
        print(f"no API key is named {options.name}", file=sys.stderr)
        return 1
    for label, owner in tenants.items():
        if options.name in (None, label):
            print(f"{label}\t{secret_text(tenant_key(master, owner))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
