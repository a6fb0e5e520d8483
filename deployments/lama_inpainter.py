"""Stage: crops with holes to crops without (LaMa).

Owns batching across jobs: crops come in a few fixed sizes, and those of one size run together.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ray import serve

from deployments.gpu_share import keep_to_share
from deployments.messages import Filled, Refined
from deployments.networks import load_inpainter
from engine.priority import compute_in_background
from engine.types import FillTask
from settings import Settings
from storage.job_metrics import StageTiming


@serve.deployment
class LamaInpainter:
    """Fills holes in crops; knows nothing of the pictures they come from."""

    def __init__(self, settings: Settings) -> None:
        keep_to_share(settings)
        compute_in_background()
        self._network = load_inpainter(settings)

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take `max_batch_size` and `batch_wait_timeout_s` from the serve config, also while running."""
        self.fill.set_max_batch_size(user_config["max_batch_size"])
        self.fill.set_batch_wait_timeout_s(user_config["batch_wait_timeout_s"])

    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0.0)
    async def fill(self, tasks: list[FillTask]) -> list[Filled]:
        """One crop a call."""
        started = time.perf_counter()
        fills = await asyncio.to_thread(self._network.inpainter.fill, tasks)
        timing = StageTiming.since("inpaint", started, len(tasks))
        return [Filled(fill, (timing,)) for fill in fills]

    async def fill_first(self, refined: Refined) -> Filled:
        """The first crop of a plan as it comes from the refiner, which shortens the way of jobs with one."""
        filled: Filled = await self.fill(refined.plan.tasks[0])
        return filled

    def describe(self) -> dict[str, str]:
        """The loaded network, as `/health` shows it."""
        return self._network.description

    async def check_health(self) -> None:
        """Answered on the loop that serves requests, so that a blocked replica is replaced."""
