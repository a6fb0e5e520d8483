"""Posts the ends of runs to the addresses that clients gave.

Owns one replica's share of the outbox: taking, posting, settling. A deployment of its own, because it
talks to hosts that clients choose: what hangs or breaks here touches nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ray import serve

from deployments.gpu_share import keep_to_share
from deployments.http.status import status_of
from deployments.webhooks.pinned_network import PinnedNetwork
from deployments.webhooks.post import Outcome, Poster, Verdict
from deployments.webhooks.receiver import Receiver, ReceiverRefusedError, ReceiverRules
from deployments.webhooks.retries import delay_s
from deployments.webhooks.secret import secret_bytes, tenant_key
from deployments.webhooks.signature import signed_headers
from settings import Settings
from storage.errors import StorageError
from storage.redis_connection import RedisConnection
from storage.redis_outbox import RedisOutbox
from storage.webhooks import Webhook, WebhookOutbox

log = logging.getLogger("ray.serve")

PER_RECEIVER = 4  # posts at once
IDLE_S = 0.25
LEASE_SLACK_S = 5.0  # beyond the longest post: to tell the store what came of it
DRAIN_S = 10.0  # below the deployment's graceful_shutdown_timeout_s


class Deliveries:
    """Takes what is due and posts it, several at once; the loop that a replica runs."""

    def __init__(self, outbox: WebhookOutbox, poster: Poster, settings: Settings, key: bytes) -> None:
        self._outbox = outbox
        self._poster = poster
        self._settings = settings
        self._key = key
        self._rules = ReceiverRules.of(settings)
        self._work_dir_name = Path(settings.work_dir).name
        self._tasks: dict[asyncio.Task[None], str] = {}  # to which receiver
        self.concurrent_posts = 1
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        # What a dead replica had in hand comes up again after this long.
        lease_s = self._settings.webhook_timeout_s + LEASE_SLACK_S
        while True:
            room = self.concurrent_posts - len(self._tasks)
            if room <= 0:
                self._ended.clear()
                await self._ended.wait()
                continue
            try:
                found = await self._outbox.claim(room, lease_s, PER_RECEIVER, Counter(self._tasks.values()))
            except StorageError as error:
                log.warning("the outbox does not answer: %s", error)
                found = []
            for webhook in found:
                task = asyncio.create_task(self._deliver(webhook))
                self._tasks[task] = webhook.receiver
                task.add_done_callback(self._forget)
            await asyncio.sleep(0 if found else IDLE_S)

    async def drain(self, seconds: float) -> None:
        """Let what is under way end; the rest is left to whoever claims it after its lease."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._ended.set()

    async def _deliver(self, webhook: Webhook) -> None:
        extra = {"webhook": webhook.id, "tapcut_job": webhook.job.id, "receiver": webhook.receiver}
        try:
            outcome = await self._try(webhook)
            tries = webhook.tries + 1
            if outcome.verdict is Verdict.DELIVERED:
                await self._outbox.delivered(webhook)
                log.info("webhook delivered, try %d", tries, extra=extra)
            elif outcome.verdict is Verdict.GONE or tries >= self._settings.webhook_tries:
                await self._outbox.give_up(webhook, outcome.cause)
                log.error("webhook given up after %d tries: %s", tries, outcome.cause, extra=extra)
            else:
                wait_s = delay_s(tries, self._settings.webhook_retry_s, outcome.retry_after_s)
                await self._outbox.retry(webhook, wait_s)
                log.warning(
                    "webhook failed, try %d, again in %.0f s: %s", tries, wait_s, outcome.cause, extra=extra
                )
        except StorageError as error:
            # Its lease runs out, and it is tried again under the same id.
            log.warning("webhook left to be claimed again: %s", error, extra=extra)

    async def _try(self, webhook: Webhook) -> Outcome:
        try:
            # Read again: the operator may have closed since what was open when it was accepted.
            receiver = Receiver.read(webhook.url, self._rules)
        except ReceiverRefusedError as error:
            return Outcome(Verdict.FAILED, f"callback_url: {error}")
        body = status_of(webhook.job, self._work_dir_name).model_dump_json().encode()
        key = tenant_key(self._key, webhook.job.owner)
        headers = signed_headers(key, webhook.id, int(time.time()), body)
        try:
            return await self._poster.post(receiver, headers, body)
        except (
            Exception
        ) as error:  # whatever a stranger's server makes our client do, it is this try's failure
            log.exception("unexpected while posting a webhook")
            return Outcome(Verdict.FAILED, f"unexpected {type(error).__name__}")


@serve.deployment
class WebhookSender:
    """Delivers webhooks while WEBHOOK_SECRET is set; without it none are accepted."""

    def __init__(self, settings: Settings) -> None:
        keep_to_share(settings)
        self._settings = settings
        self._loop: asyncio.Task[None] | None = None
        self._deliveries: Deliveries | None = None

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take `concurrent_posts` from the serve config; the first call starts the loop."""
        if self._deliveries is None:
            self._start()
        if self._deliveries is not None:
            self._deliveries.concurrent_posts = int(user_config["concurrent_posts"])

    def _start(self) -> None:
        secret = self._settings.webhook_secret
        if secret is None:
            log.info("no webhooks are sent: WEBHOOK_SECRET is not set")
            return
        outbox = RedisOutbox(RedisConnection(self._settings.redis_url))
        rules = ReceiverRules.of(self._settings)
        poster = Poster(PinnedNetwork(rules.allowance), self._settings.webhook_timeout_s)
        key = secret_bytes(secret.get_secret_value())
        self._deliveries = Deliveries(outbox, poster, self._settings, key)
        self._loop = asyncio.create_task(self._deliveries.run())

    async def check_health(self) -> None:
        """Fails when the replica no longer sends, so that Serve replaces it."""
        if self._loop is not None and self._loop.done():
            raise RuntimeError("the loop of the webhook sender has ended")

    async def __del__(self) -> None:
        """Let the tries under way end; what is left comes up again for another replica."""
        if self._loop is not None and self._deliveries is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
            await self._deliveries.drain(DRAIN_S)
