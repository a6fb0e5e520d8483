"""Stage: prompts on an embedding to masks (MobileSAM's prompt and mask decoder).

Owns batching across jobs: prompts of different pictures are decoded in one run of the network.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ray import serve

from deployments.gpu_share import keep_to_share
from deployments.messages import Decoded, Encoded
from deployments.networks import load_decoder
from engine.priority import compute_in_background
from engine.types import ObjectPrompt
from settings import Settings
from storage.job_metrics import StageTiming


@serve.deployment
class PromptDecoder:
    """Decodes all prompts of a job in one call."""

    def __init__(self, settings: Settings) -> None:
        keep_to_share(settings)
        compute_in_background()
        self._network = load_decoder(settings)

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take `max_batch_size` and `batch_wait_timeout_s` from the serve config, also while running."""
        self.decode.set_max_batch_size(user_config["max_batch_size"])
        self.decode.set_batch_wait_timeout_s(user_config["batch_wait_timeout_s"])

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.0)
    async def decode(self, encoded: list[Encoded], prompts: list[tuple[ObjectPrompt, ...]]) -> list[Decoded]:
        """One entry a call: its picture's embedding and its prompts, checked before they came here."""
        started = time.perf_counter()
        requests = [(answer.embedding, asked) for answer, asked in zip(encoded, prompts, strict=True)]
        answers = await asyncio.to_thread(self._network.decoder.decode, requests)
        timing = StageTiming.since("decode", started, len(requests))
        return [
            Decoded(
                tuple(objects),
                self._network.image_size,
                (*answer.timings, timing),
                self._network.closer_look,
            )
            for objects, answer in zip(answers, encoded, strict=True)
        ]

    def describe(self) -> dict[str, str]:
        """The loaded network, as `/health` shows it."""
        return self._network.description

    async def check_health(self) -> None:
        """Answered on the loop that serves requests, so that a blocked replica is replaced."""
