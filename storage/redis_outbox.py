"""The outbox of webhooks in Redis: `WebhookOutbox` over one sorted set a receiver.

Owns the sender's operations; webhooks are put in by the scripts that end a run. A set for each
receiver, because what waits for a slow one must not stand before what is due elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from uuid import uuid4

from storage import redis_keys
from storage.redis_codec import flat, job_of
from storage.redis_connection import RedisConnection
from storage.webhooks import Webhook


class RedisOutbox:
    """`WebhookOutbox` in Redis; each call is one script."""

    def __init__(self, connection: RedisConnection) -> None:
        self._redis = connection

    async def claim(
        self, limit: int, lease_s: float, per_receiver: int, under_way: Mapping[str, int]
    ) -> list[Webhook]:
        """At most `limit` that are due, for `lease_s`, those that wait longest first.

        `under_way`: how many the caller has in hand, by receiver; with them, no receiver gets more
        than `per_receiver`. Those of deleted jobs are dropped on the way.
        """
        token = uuid4().hex
        counts = flat({receiver: str(count) for receiver, count in under_way.items()})
        found = await self._redis.run("claim_webhooks", token, lease_s, limit, per_receiver, *counts)
        return [
            Webhook(
                # Says nothing of the job's id, which is its key, to whoever reads a receiver's logs.
                id="msg_" + redis_keys.digest(f"{job_id} {run}")[:32],
                job=job_of(job_id, json.loads(fields)),
                url=url,
                receiver=receiver,
                tries=int(tries),
                token=token,
            )
            for receiver, job_id, run, fields, url, tries in found
        ]

    async def delivered(self, webhook: Webhook) -> bool:
        """Forget it; false if it is no longer the caller's."""
        return await self._settle(webhook, "delivered")

    async def retry(self, webhook: Webhook, delay_s: float) -> bool:
        """Have it come up again after `delay_s`; false if it is no longer the caller's."""
        return await self._settle(webhook, "retried", delay_s=delay_s)

    async def give_up(self, webhook: Webhook, cause: str) -> bool:
        """Forget it but for a dead letter; false if it is no longer the caller's."""
        return await self._settle(webhook, "given_up", cause=cause)

    async def _settle(self, webhook: Webhook, outcome: str, *, delay_s: float = 0, cause: str = "") -> bool:
        return bool(
            await self._redis.run(
                "settle_webhook",
                webhook.job.id,
                webhook.job.run,
                webhook.receiver,
                webhook.token,
                outcome,
                delay_s,
                cause,
            )
        )
