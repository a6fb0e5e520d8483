"""Stage: prompts on an embedding to masks (MobileSAM's prompt and mask decoder).

Owns batching across jobs: prompts of different pictures are decoded in one run of the network; and the
embeddings of the last pictures, so that a tap on one of them needs no other stage first.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.gpu_share import keep_to_share
from deployments.kept_embeddings import KeptEmbeddings
from deployments.messages import Decoded, Encoded, PictureRef
from deployments.networks import load_decoder
from engine.priority import compute_in_background
from engine.types import ObjectPrompt
from settings import Settings
from storage.job_metrics import StageTiming

EMBEDDINGS_KEPT = 16  # they stay in Ray's object store


@serve.deployment
class PromptDecoder:
    """Decodes all prompts of a job in one call."""

    def __init__(self, settings: Settings, encoder: DeploymentHandle) -> None:
        keep_to_share(settings)
        compute_in_background()
        self._network = load_decoder(settings)
        self._encoder = encoder
        self._kept = KeptEmbeddings(EMBEDDINGS_KEPT)

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take `max_batch_size` and `batch_wait_timeout_s` from the serve config, also while running."""
        self._decode_batch.set_max_batch_size(user_config["max_batch_size"])
        self._decode_batch.set_batch_wait_timeout_s(user_config["batch_wait_timeout_s"])

    async def read_ahead(self, picture: PictureRef) -> None:
        """Have a picture's embedding here when its first tap comes.

        Raises:
            FileMissing: the job was deleted meanwhile.
        """
        await self._encoded(picture)

    async def decode(self, picture: PictureRef, prompts: tuple[ObjectPrompt, ...]) -> Decoded:
        """All prompts on one picture; they were checked before they came here.

        Raises:
            FileMissing: the job was deleted meanwhile.
        """
        answer: Decoded = await self._decode_batch(await self._encoded(picture), prompts)
        return answer

    async def decode_part(self, encoded: Encoded, prompts: tuple[ObjectPrompt, ...]) -> Decoded:
        """The same on what `ImageEncoder.encode_part` answers; it is not kept."""
        answer: Decoded = await self._decode_batch(encoded, prompts)
        return answer

    async def _encoded(self, picture: PictureRef) -> Encoded:
        kept = self._kept.get(picture.digest)
        if kept is not None:
            return Encoded(kept, ())
        encoded: Encoded = await self._encoder.encode.remote(picture)
        self._kept.keep(picture.digest, encoded.embedding)
        return encoded

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.0)
    async def _decode_batch(
        self, encoded: list[Encoded], prompts: list[tuple[ObjectPrompt, ...]]
    ) -> list[Decoded]:
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
