"""Whether the artifact store has room for new work.

Owns the reserve: new work is refused while accepted work, and a Redis on the same volume, can still
write.
"""

from __future__ import annotations

import asyncio

from deployments.http.backend import Backend
from storage.errors import StoreFull


async def has_room(backend: Backend) -> bool:
    """Whether at least `MIN_FREE_MB` are free."""
    free = await asyncio.to_thread(backend.files.free_bytes)
    return free >= backend.settings.min_free_mb * 1_000_000


async def require_room(backend: Backend) -> None:
    """Let new work pass.

    Raises:
        StoreFull: there is less room than the reserve.
    """
    if not await has_room(backend):
        raise StoreFull("Less room than MIN_FREE_MB is left")
