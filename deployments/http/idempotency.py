"""Keeps a reserved idempotency key while its upload is under way.

Owns how long a key whose replica died stays reserved: short, so that the client's next try is the
first one again after seconds, however long an upload may take.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from storage.errors import StorageError
from storage.jobs import JobStore

log = logging.getLogger("ray.serve")

HOLD_S = 6.0  # how long a reservation outlives the replica that made it
RENEW_S = 2.0


@asynccontextmanager
async def kept_reserved(jobs: JobStore, key: str, owner: str, token: str) -> AsyncIterator[None]:
    """Renew the reservation until the block ends."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await jobs.renew(key, owner, token, HOLD_S)
            except StorageError as error:
                log.warning("an idempotency key is not renewed: %s", error)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
