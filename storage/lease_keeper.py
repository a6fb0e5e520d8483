"""Keeps a runner's leases alive from a thread of its own.

Owns the beat. It uses no event loop and a connection of its own, so that neither a blocked loop nor
a busy pool lets a lease run out while the process lives.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from storage.job_queue import Delivery
from storage.redis_connection import script_text

logger = logging.getLogger(__name__)


class LeaseKeeper:
    """Beats every third of the lease for the deliveries added to it.

    While Redis cannot be reached nothing is declared lost: whether the lease held is decided by the
    commit. `on_lost` is called in the keeper's thread, once a delivery; use `call_soon_threadsafe`
    to get back to a loop.
    """

    def __init__(
        self, url: str, consumer: str, lease_s: float, on_lost: Callable[[Delivery], None] | None = None
    ) -> None:
        """Start the thread. `lease_s`: after how long without a beat others may reclaim."""
        self._consumer = consumer
        self._beat_s = lease_s / 3
        self._on_lost = on_lost
        self._held: set[Delivery] = set()
        self._lost: set[Delivery] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        # A beat that hangs longer than the next one is due is as good as none.
        self._client = redis.Redis.from_url(
            url,
            decode_responses=True,
            protocol=2,
            socket_timeout=max(self._beat_s, 0.5),
            socket_connect_timeout=max(self._beat_s, 0.5),
            retry=Retry(NoBackoff(), 0),
        )
        self._script: Any = self._client.register_script(script_text("heartbeat"))
        self._thread = threading.Thread(target=self._run, name=f"leases of {consumer}", daemon=True)
        self._thread.start()

    def add(self, delivery: Delivery) -> None:
        """Begin to renew this delivery's lease."""
        with self._lock:
            self._lost.discard(delivery)
            self._held.add(delivery)

    def remove(self, delivery: Delivery) -> None:
        """Stop renewing: the job ended or was given back."""
        with self._lock:
            self._held.discard(delivery)
            self._lost.discard(delivery)

    def lost(self, delivery: Delivery) -> bool:
        """Whether a beat found that the delivery is no longer ours (reclaimed, ended or deleted)."""
        with self._lock:
            return delivery in self._lost

    @property
    def held(self) -> frozenset[Delivery]:
        """The deliveries being renewed; what `reclaim` must leave alone."""
        with self._lock:
            return frozenset(self._held)

    @property
    def alive(self) -> bool:
        """Whether the thread runs: for health checks."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop beating; leases run out by themselves unless given back."""
        self._stop.set()
        self._thread.join(timeout=10)
        self._client.close()

    def __enter__(self) -> LeaseKeeper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.wait(self._beat_s):
            try:
                self._beat()
            except (redis.RedisError, OSError) as error:
                logger.warning("No heartbeat for %s: %s", self._consumer, error)

    def _beat(self) -> None:
        asked = self.held
        if not asked:
            return
        ours = set(self._script(args=[self._consumer, *(one.entry_id for one in asked)]))
        with self._lock:
            # A delivery removed meanwhile ended in the ordinary way.
            gone = {one for one in asked & self._held if one.entry_id not in ours}
            self._held -= gone
            self._lost |= gone
        for delivery in gone:
            logger.warning("Lease of job %s lost by %s", delivery.job_id, self._consumer)
            if self._on_lost is not None:
                try:
                    self._on_lost(delivery)
                except Exception:  # a caller's bug must not end the other leases
                    logger.exception("on_lost failed for job %s", delivery.job_id)
