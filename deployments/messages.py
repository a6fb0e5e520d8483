"""What the stages of the DAG say to each other.

Owns the envelopes that carry engine values from replica to replica, with the seconds that each
stage spent. Frozen, picklable, and free of Ray, HTTP and Redis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.types import (
    DecodedObject,
    Fill,
    ImageEmbedding,
    ObjectPrompt,
    RefinedObject,
    RemovalPlan,
)
from storage.job_metrics import StageTiming
from storage.jobs import Job


@dataclass(frozen=True, slots=True)
class PictureRef:
    """Where a job's picture is, and what identifies its pixels."""

    job_id: str
    key: str  # storage key of original.png
    digest: str  # content hash of the pixels
    width: int
    height: int

    @classmethod
    def of(cls, job: Job) -> PictureRef:
        """Where the picture of `job` is."""
        return cls(
            job.id, job.files["original.png"], job.picture.digest, job.picture.width, job.picture.height
        )


@dataclass(frozen=True, slots=True)
class TakenIn:
    """A validated upload, stored as `original.png`."""

    picture: PictureRef
    uploaded_width: int
    uploaded_height: int
    format: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Answer of the image encoder."""

    embedding: ImageEmbedding
    timings: tuple[StageTiming, ...]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Answer of the prompt decoder: one entry an object, in the order of the prompts."""

    objects: tuple[DecodedObject, ...]
    image_size: int  # side of the network's padded frame, px
    timings: tuple[StageTiming, ...]
    closer_look: float = 0.0  # see `MobileSamConfig`


@dataclass(frozen=True, slots=True)
class RefineRequest:
    """What the refiner is to make of each object: a prompt, or the client's own mask in its place."""

    prompts: tuple[ObjectPrompt, ...]
    own_mask_keys: Mapping[int, str]  # object index -> storage key of the client's mask
    dilate_px: int | None
    feather_px: int | None
    want_each: bool
    want_full: bool


@dataclass(frozen=True, slots=True)
class Refined:
    """Answer of the mask refiner."""

    objects: tuple[RefinedObject, ...]
    reports: tuple[Mapping[str, object], ...]  # what `/status` says of each object; JSON values
    plan: RemovalPlan
    timings: tuple[StageTiming, ...]


@dataclass(frozen=True, slots=True)
class Filled:
    """Answer of the inpainter for one task."""

    fill: Fill
    timings: tuple[StageTiming, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """Artifacts that a stage has stored: file name -> storage key."""

    files: Mapping[str, str]
    report: Mapping[str, object]  # what `/status` says of the object beyond the refiner's words; JSON values
    timings: tuple[StageTiming, ...]
    fill_timings: tuple[tuple[StageTiming, ...], ...] = ()  # of the fills used, one entry a part


@dataclass(frozen=True, slots=True)
class Outline:
    """Answer of the refiner to a preview; `mask_png` is empty unless it was asked for."""

    fields: Mapping[str, object]
    mask_png: bytes
