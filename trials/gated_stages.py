"""Stages that answer when a file lets them, so that a test says how long a job takes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ray import serve

from deployments.messages import PictureRef, Refined
from engine.types import RemovalPlan


@serve.deployment(max_ongoing_requests=100, ray_actor_options={"num_cpus": 0})
class GatedStages:
    """All stages of a job's way; the refiner waits for `{gates}/{job id}` and finds no object."""

    def __init__(self, gates: str) -> None:
        self._gates = Path(gates)

    async def refine(self, picture: PictureRef, decoded: object, request: object) -> Refined:
        """No object, once the job is let."""
        while not (self._gates / picture.job_id).exists():
            await asyncio.sleep(0.05)
        return Refined((), (), RemovalPlan((), (), (), ()), ())

    def describe(self) -> dict[str, str]:
        """As a stage with a network would."""
        return {"name": "gated"}
