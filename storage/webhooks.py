"""The outbox of webhooks as their sender sees it: what waits to be posted, and the `WebhookOutbox` protocol.

A webhook enters the outbox in the same step that ends its run, and leaves it when it was delivered,
given up, or its job deleted: no death of a process loses one. Delivery is at least once; `id` is the
same on every try.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from storage.jobs import Job


@dataclass(frozen=True, slots=True)
class Webhook:
    """The end of one run, in the hands of one sender until its lease runs out.

    `job` is as it was when the run ended, its `request` left out. The address may hold a client's
    secret and is not shown in logs.
    """

    id: str
    job: Job
    url: str = field(repr=False)
    receiver: str  # host and port of `url`
    tries: int  # before this one
    token: str  # of this claim


class WebhookOutbox(Protocol):
    """Taking and settling webhooks. Every call is atomic and may raise `StoreUnavailable`."""

    async def claim(
        self, limit: int, lease_s: float, per_receiver: int, under_way: Mapping[str, int]
    ) -> list[Webhook]:
        """At most `limit` that are due, for `lease_s`; with those under way at most so many to a receiver."""

    async def delivered(self, webhook: Webhook) -> bool:
        """Forget it; false if it is no longer the caller's."""

    async def retry(self, webhook: Webhook, delay_s: float) -> bool:
        """Have it come up again after `delay_s`; false if it is no longer the caller's."""

    async def give_up(self, webhook: Webhook, cause: str) -> bool:
        """Forget it but for a dead letter; false if it is no longer the caller's."""
