"""`callback_url` of `/segment`: its check at the door, and what the API says of the post that comes of it.

Owns the wording of refusals and the OpenAPI description of webhooks. Posting is `webhook_sender.py`'s.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header

from deployments.http.problems import FieldsRefusedError
from deployments.http.schemas import StatusAnswer
from deployments.webhooks.receiver import Receiver, ReceiverRefusedError, ReceiverRules
from settings import Settings


def read_callback(url: str | None, settings: Settings) -> str | None:
    """The address of a run's webhook in its normal form; None when none was given.

    Raises:
        FieldsRefusedError: it is malformed or not allowed, or this service sends no webhooks.
    """
    if url is None:
        return None
    if settings.webhook_secret is None:
        raise FieldsRefusedError(
            "callback_url: this service has no WEBHOOK_SECRET to sign webhooks with and sends none: "
            "leave it out and ask /status, or follow /events"
        )
    try:
        return Receiver.read(url, ReceiverRules.of(settings)).url
    except ReceiverRefusedError as error:
        raise FieldsRefusedError(f"callback_url: {error}") from error


def webhook_documentation() -> APIRouter:
    """The post as OpenAPI shows it below `/segment`; serves nothing."""
    router = APIRouter()

    @router.post(
        "{$request.body#/callback_url}",
        name="run_ended",
        status_code=200,
        responses={
            "2XX": {"description": "Any: the webhook is delivered. Answer within 10 seconds."},
            "410": {"description": "Gone: no more tries."},
            "429": {"description": "Or 503: tried again after `Retry-After`, an hour at most."},
            "4XX": {"description": "Or anything else, redirects too: tried again later."},
        },
    )
    def run_ended(
        status: StatusAnswer,
        webhook_id: Annotated[str, Header(description="The same on every try: take each once.")],
        webhook_timestamp: Annotated[
            int, Header(description="Seconds since 1970 of this try: refuse old ones.")
        ],
        webhook_signature: Annotated[
            str,
            Header(
                description="`v1,` and base64 of HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`, "
                "keyed with the bytes whose base64 follows `whsec_` in your secret (Standard Webhooks)."
            ),
        ],
    ) -> None:
        """The job's status at the end of the run, `ready` or `error`."""

    return router
