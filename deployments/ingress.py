"""The HTTP ingress: the routes of `deployments/http/` over bound handles of the DAG.

Owns what the routes ask of Ray: calls to stages with a time limit, and their errors unwrapped. No
picture is decoded here and no array passes through.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle

from deployments.encoding_ahead import EncodingAhead
from deployments.gpu_share import keep_to_share
from deployments.http.api import create_api
from deployments.http.backend import NetworksSeen
from deployments.http.places import Places
from deployments.http.problems import StageUnavailableError
from deployments.http.schemas import NetworkHealth
from deployments.lending import call_with_upload
from deployments.messages import Outline, PictureRef, TakenIn
from deployments.stage_errors import judge, replica_died, unwrap
from deployments.stage_states import StageState, read_stage_states
from engine.types import ObjectPrompt
from settings import Settings
from storage.open_store import open_store
from storage.redis_connection import RedisConnection
from storage.redis_events import RedisEvents
from storage.redis_jobs import RedisJobs
from storage.redis_rate_limit import RedisRateLimiter

log = logging.getLogger("ray.serve")

STAGE_TIMEOUT_S = 60.0  # of a call that a client waits for; the longest is a first preview on a slow CPU
INTAKE_FULL_S = 0.5  # uploads are refused unread for so long after one was refused by a full intake
PREVIEWS_AT_ONCE = 32  # of one ingress replica; more would only wait longer for the same networks
HEALTH_TIMEOUT_S = 2.0
HEALTH_KEPT_S = 5.0


@serve.deployment
@serve.ingress()
class Ingress:
    """Serves the HTTP API."""

    def __init__(
        self,
        settings: Settings,
        intake: DeploymentHandle,
        encoder: DeploymentHandle,
        decoder: DeploymentHandle,
        refiner: DeploymentHandle,
        inpainter: DeploymentHandle,
        runner: DeploymentHandle,
        sender: DeploymentHandle,
    ) -> None:
        keep_to_share(settings)
        # Bound so that they belong to the application; they take their work from Redis.
        del runner, sender
        connection = RedisConnection(settings.redis_url)
        self.settings = settings
        self.jobs = RedisJobs(connection)
        self.events = RedisEvents(connection)
        self.rates = RedisRateLimiter(connection)
        self.files = open_store(settings.store_url, settings.work_dir)
        self._intake, self._encoder, self._decoder = intake, encoder, decoder
        self._refiner = refiner
        self._previews = Places(PREVIEWS_AT_ONCE, "previews")
        self._intake_full_until = 0.0
        self._ahead = EncodingAhead(self._prepare)
        self._networked = {"mobile_sam": ("ImageEncoder", encoder), "lama": ("LamaInpainter", inpainter)}
        self._seen: NetworksSeen | None = None
        self._seen_at = 0.0
        self._asking: asyncio.Task[Mapping[str, StageState]] | None = None
        self._starved: frozenset[str] = frozenset()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The ASGI application, made in the replica that serves it."""
        return create_api(self)

    async def take_in(self, job_id: str, upload: Path) -> TakenIn:
        """See `Backend`."""

        async def begin_anew() -> None:
            await asyncio.to_thread(self.files.delete_job, job_id)  # what the dead replica had written

        async def ask() -> TakenIn:
            return await _answer(lambda: self._intake.take_in.remote(job_id, upload), begin_anew)

        try:
            return await call_with_upload(self.files, upload, ask)
        except StageUnavailableError as refused:
            if refused.__cause__ is not None and isinstance(unwrap(refused.__cause__), BackPressureError):
                self._intake_full_until = time.monotonic() + INTAKE_FULL_S
            raise

    def require_intake(self) -> None:
        """See `Backend`."""
        if time.monotonic() < self._intake_full_until:
            raise StageUnavailableError("More uploads come than can be decoded: try again shortly")

    async def take_mask(self, picture: PictureRef, name: str, png: bytes) -> str:
        """See `Backend`."""
        return await _answer(lambda: self._intake.take_mask.remote(picture, name, png))

    def encode_ahead(self, picture: PictureRef) -> None:
        """See `Backend`."""
        self._ahead.want(picture)

    async def _prepare(self, picture: PictureRef) -> None:
        await self._encoder.encode_ahead.remote(picture)
        await asyncio.gather(*(stage.read_ahead.remote(picture) for stage in (self._decoder, self._refiner)))

    async def preview(self, picture: PictureRef, prompt: ObjectPrompt, *, as_png: bool) -> Outline:
        """See `Backend`."""

        def ask() -> Awaitable[Any]:
            decoded = self._decoder.decode.remote(picture, (prompt,))
            return self._refiner.outline.remote(picture, decoded, prompt, as_png)

        with self._previews.take():
            outline: Outline = await _answer(ask)
        return outline

    async def networks(self) -> NetworksSeen:
        """See `Backend`."""
        if self._seen is not None and time.monotonic() - self._seen_at < HEALTH_KEPT_S:
            return self._seen
        states = await self._stage_states()
        awake = {
            name: handle
            for name, (stage, handle) in self._networked.items()
            if stage not in states or not states[stage].asleep
        }
        answers = await asyncio.gather(
            *(
                asyncio.wait_for(_answer(handle.describe.remote), HEALTH_TIMEOUT_S)
                for handle in awake.values()
            ),
            return_exceptions=True,
        )
        loaded = {
            name: NetworkHealth(**answer)
            for name, answer in zip(awake, answers, strict=True)
            if not isinstance(answer, BaseException)
        }
        starved = {
            name: f"{name}: its replica finds no room. {state.want_of_room}. "
            "`python -m launch.check_placement` on the serve config says what to change"
            for name, state in states.items()
            if state.want_of_room
        }
        for name in starved.keys() - self._starved:
            log.warning(starved[name])
        self._starved = frozenset(starved)
        seen = NetworksSeen(
            loaded,
            frozenset(self._networked.keys() - awake.keys()),
            # One that has replicas serves; that it finds no room for more is said in the log.
            tuple(text for name, text in sorted(starved.items()) if not states[name].present),
        )
        self._seen = seen if len(loaded) == len(awake) and not seen.starved else None
        self._seen_at = time.monotonic()
        return seen

    async def _stage_states(self) -> Mapping[str, StageState]:
        # One question at a time: Serve's controller may be away, and each holds a thread meanwhile.
        if self._asking is None or self._asking.done():
            application = serve.get_replica_context().app_name
            self._asking = asyncio.create_task(asyncio.to_thread(read_stage_states, application))
        try:
            return await asyncio.wait_for(asyncio.shield(self._asking), HEALTH_TIMEOUT_S)
        except Exception as error:
            log.warning("Serve does not say how its stages are: %r", error)
            return {}

    async def check_health(self) -> None:
        """Answered on the loop that serves requests, so that a blocked replica is replaced."""

    async def __del__(self) -> None:
        """Stop following job events."""
        await self.events.close()


async def _answer(
    call: Callable[[], Awaitable[Any]], before_again: Callable[[], Awaitable[None]] | None = None
) -> Any:
    """Await a stage with a time limit; a call whose replica dies is made once more.

    Raises:
        StageUnavailableError: no answer in time, overloaded, or its replica died.
        Exception: the stage's own, unwrapped.
    """
    try:
        async with asyncio.timeout(STAGE_TIMEOUT_S):
            try:
                return await call()
            except Exception as error:
                if not replica_died(error):
                    raise
                log.warning("a replica died under a call, calling again: %s", judge(error).cause)
            if before_again is not None:
                await before_again()
            return await call()
    except TimeoutError as error:
        raise StageUnavailableError("A stage did not answer in time: try again") from error
    except Exception as error:
        verdict = judge(error)
        if verdict.passing and not verdict.expected:
            log.warning("a stage does not answer: %s", verdict.cause)
            raise StageUnavailableError(
                "A stage of the service is restarting or overloaded: try again"
            ) from error
        raise verdict.cause from None
