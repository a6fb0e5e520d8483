"""What the HTTP layer needs of the rest of the service.

Owns the protocol between the routes and the DAG, so that the routes know nothing of Ray. The
ingress deployment implements it over bound handles.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deployments.http.schemas import NetworkHealth
from deployments.messages import Outline, PictureRef, TakenIn
from engine.types import ObjectPrompt
from settings import Settings
from storage.files import FileStore
from storage.jobs import JobStore
from storage.rate_limit import RateLimiter


class JobEvents(Protocol):
    """Wakes whoever follows a job."""

    def subscribe(self, job_id: str) -> AsyncGenerator[None]:
        """Yield at once, then after each change and at least every few seconds."""


@dataclass(frozen=True, slots=True)
class NetworksSeen:
    """What is known of the networks: a name that is in neither has a stage that should answer and does not.

    `starved`: a sentence for each stage that has no replica because none finds room.
    """

    loaded: Mapping[str, NetworkHealth]
    asleep: frozenset[str]
    starved: tuple[str, ...] = ()


class Backend(Protocol):
    """The stores, and the stages that answer a request at once."""

    @property
    def settings(self) -> Settings:
        """The service's settings."""

    @property
    def jobs(self) -> JobStore:
        """State of all jobs."""

    @property
    def events(self) -> JobEvents:
        """Changes of jobs."""

    @property
    def rates(self) -> RateLimiter:
        """Calls of each tenant, counted."""

    @property
    def files(self) -> FileStore:
        """Artifacts."""

    def require_intake(self) -> None:
        """Pass when an upload has a chance, so that one without is refused before it is read.

        Raises:
            StageUnavailableError: as many uploads wait to be decoded as may.
        """

    async def take_in(self, job_id: str, upload: Path) -> TakenIn:
        """Validate the upload and store it as the job's `original.png`.

        Raises:
            PhotoError: it is not a picture that can be worked on.
            StageUnavailableError: the intake stage does not answer.
        """

    async def take_mask(self, picture: PictureRef, name: str, png: bytes) -> str:
        """Validate a client's own mask against its picture, store it, answer its storage key.

        Raises:
            PhotoError: it is not a PNG of the picture's size.
        """

    def encode_ahead(self, picture: PictureRef) -> None:
        """Have the picture's embedding computed in the background; failures are logged only."""

    async def preview(self, picture: PictureRef, prompt: ObjectPrompt, *, as_png: bool) -> Outline:
        """The mask for one prompt, now; as a PNG too if that is asked for.

        Raises:
            MaskTooSmallError: there is no object at the prompt.
            StageUnavailableError: a stage does not answer.
        """

    async def networks(self) -> NetworksSeen:
        """The networks, asked of their stages; none is woken by it."""
