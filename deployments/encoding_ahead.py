"""Embeddings computed before anybody asks for them: in the time that a user takes to find and tap an object.

Owns how many are computed at once and how many may wait; what cannot wait is left to the first tap.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from deployments.messages import PictureRef
from deployments.stage_errors import judge

log = logging.getLogger("ray.serve")

AT_ONCE = 4  # more of them would keep jobs and previews from the encoder
WAITING = 128  # a reference each; a CPU encodes so many in about a minute


class EncodingAhead:
    """The pictures that wait to be encoded, first come first. For one event loop."""

    def __init__(self, encode: Callable[[PictureRef], Awaitable[None]]) -> None:
        self._encode = encode
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def want(self, picture: PictureRef) -> bool:
        """Have a picture encoded when its turn comes; a failure is logged only, for the first tap encodes it.

        Returns:
            Whether it will be: no, where too many wait.
        """
        if len(self._tasks) >= AT_ONCE + WAITING:
            return False
        task = asyncio.create_task(self._in_turn(picture))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _in_turn(self, picture: PictureRef) -> None:
        async with self._places:
            try:
                await self._encode(picture)
            except Exception as error:
                log.warning(
                    "embedding not computed ahead: %s",
                    judge(error).cause,
                    extra={"tapcut_job": picture.job_id},
                )
