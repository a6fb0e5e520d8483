"""The wire: request and answer models of the HTTP API, as the OpenAPI document shows them.

Owns field names, bounds and descriptions. Unknown fields are refused by name. Checks that need the
picture (is a point inside it?) are not made here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
Point = Annotated[tuple[Coordinate, Coordinate], Field(description="x, y in pixels of `original.png`.")]
Polygon = list[tuple[int, int]]
JobId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="128 random bits as hex: the capability.")]

MAX_POINTS = 256  # of one object: far beyond any use, small enough to bound the decoder's attention


class Wire(BaseModel):
    """Base of all wire models: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Output(StrEnum):
    """Kinds of artifacts that a job can make."""

    MASKS = "masks"
    CROPPED = "cropped"
    INPAINTED = "inpainted"
    FULL_INPAINTED = "full_inpainted"


class ResultFormat(StrEnum):
    """File format of the inpainted results."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"


class PromptFields(Wire):
    """Taps and/or a box that say which object is meant."""

    points: list[Point] = Field(default_factory=list, max_length=MAX_POINTS)
    labels: list[Literal[0, 1]] | None = Field(
        None, max_length=MAX_POINTS, description="One a point: 1 the object, 0 not the object. Default all 1."
    )
    box: (
        Annotated[tuple[Coordinate, Coordinate, Coordinate, Coordinate], Field(description="x0, y0, x1, y1.")]
        | None
    ) = None

    @model_validator(mode="after")
    def _one_label_a_point(self) -> Self:
        if self.labels is not None and len(self.labels) != len(self.points):
            raise ValueError(
                f"labels has {len(self.labels)} entries but points has {len(self.points)}: give one a point"
            )
        return self


class ObjectSpec(PromptFields):
    """One object of a `/segment` call."""

    mask: str | None = Field(
        None,
        max_length=32_000_000,
        description="Base64 PNG of the picture's size, above 127 = object; takes the decoder's place.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.points and self.box is None and self.mask is None:
            raise ValueError("give at least one of points, box or mask")
        return self


class SegmentQuery(Wire):
    """Query of `/segment`."""

    job_id: JobId
    coordinates_list: str | None = Field(
        None,
        max_length=16_000,  # percent-encoded it stays below 64 KiB, the server's limit for a request's head
        description="Points as JSON, e.g. `[[250,300],[400,150]]`: one object each.",
        json_schema_extra={"pattern": r"^[\[\]0-9eE.,+\-\s]*$"},
    )


class SegmentBody(Wire):
    """Body of `/segment`: `coordinates_list` (one tap an object) or `objects`."""

    coordinates_list: list[Point] | None = Field(None, description="One tap an object.")
    objects: list[ObjectSpec] | None = Field(
        None, description="Objects with any number of taps, a box, or a mask."
    )
    normalized: bool = Field(False, description="Coordinates are 0..1 of the picture's width and height.")
    outputs: list[Output] | None = Field(
        None, description="What to make; default all. The rest is not computed."
    )
    dilate_px: int | None = Field(
        None, ge=0, le=512, description="Width of the ring around the object, px; default in proportion."
    )
    feather_px: int | None = Field(
        None, ge=0, le=512, description="Soft outer part of the ring, px; default half of it."
    )
    format: ResultFormat = Field(ResultFormat.PNG, description="Format of the inpainted results.")
    callback_url: str | None = Field(
        None,
        max_length=2048,
        description="Where to post the job's status when this run has ended, signed; https. Tried again for "
        "hours with the same `webhook-id` until an answer is 2xx or 410, or the job is deleted.",
        json_schema_extra={"format": "uri"},
    )


class PreviewBody(PromptFields):
    """Body of `/preview`."""

    job_id: JobId
    normalized: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.points and self.box is None:
            raise ValueError("give points and/or a box")
        return self


class UploadAnswer(Wire):
    """Answer of `/upload`."""

    job_id: JobId
    status: Literal["uploaded"]
    message: str
    width: int = Field(description="Of `original.png`, the frame of all coordinates.")
    height: int
    uploaded_width: int = Field(description="Of the uploaded picture, after its orientation was applied.")
    uploaded_height: int
    expires_at: str = Field(description="ISO 8601, UTC.")
    notes: list[str] = Field(description="What was done to the picture, e.g. transparency flattened.")


class SegmentAnswer(Wire):
    """Answer of `/segment`."""

    job_id: JobId
    status: Literal["processing"]
    message: str


class RunLengths(Wire):
    """A mask exactly, in COCO's compressed run-length code."""

    size: tuple[int, int] = Field(description="Height and width of the picture.")
    counts: str


class CandidateAnswer(Wire):
    """Another mask that the decoder proposes for the same prompt."""

    score: float
    stability: float
    area: int
    bbox: tuple[int, int, int, int]
    polygons: list[Polygon]
    rle: RunLengths


class PreviewAnswer(Wire):
    """Answer of `/preview`: the mask that `/segment` would use."""

    score: float = Field(description="The network's own prediction of its IoU.")
    area: int = Field(description="Pixels.")
    bbox: tuple[int, int, int, int] = Field(description="x0, y0, x1, y1, half open.")
    polygons: list[Polygon] = Field(description="Outlines of its islands, rounded off, without holes.")
    rle: RunLengths = Field(description="The mask to the pixel.")
    candidates: list[CandidateAnswer]


class PromptAnswer(Wire):
    """What an object was asked for with, in pixels of `original.png`."""

    points: list[tuple[float, float]]
    labels: list[int]
    box: tuple[float, float, float, float] | None


def _open_ended(schema: dict[str, Any]) -> None:
    # Said outright, generated clients would give every field the type of anything.
    schema.pop("additionalProperties")


class ObjectAnswer(BaseModel):
    """What is known of one object of a ready job. A stage that is added may add fields."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_open_ended)

    index: int
    prompt: PromptAnswer
    score: float = Field(description="The network's own prediction of its IoU.")
    stability: float = Field(description="How little the mask changes with its threshold, 0..1.")
    area: int = Field(description="Pixels.")
    bbox: tuple[int, int, int, int] = Field(description="x0, y0, x1, y1, half open.")
    polygons: list[Polygon] = Field(description="Outlines; holes wind the other way.")
    warnings: list[str]
    crop_offset: tuple[int, int] | None = Field(
        None, description="Where the cut-out's top left pixel lies; null when none was asked for."
    )


class StatusAnswer(Wire):
    """Answer of `/status`, and every event of `/events`."""

    job_id: JobId
    status: Literal["uploaded", "processing", "ready", "error"]
    progress: int = Field(ge=0, le=100, description="Never goes back during a run.")
    stage: str
    num_objects: int
    queue_position: int | None = Field(
        description="Place in line if all jobs were the same size, 1 = next; null when it does not wait."
    )
    objects: list[ObjectAnswer]
    files: list[str]
    error: str | None
    job_dir: str = Field(description="The job's folder, below the server's WORK_DIR.")
    width: int
    height: int
    created_at: str
    updated_at: str
    expires_at: str


class CleanupAnswer(Wire):
    """Answer of `/cleanup`."""

    status: Literal["deleted"]
    job_id: JobId


class NetworkHealth(Wire):
    """One loaded network."""

    checkpoint: Literal["configured", "released", "bundled"]
    name: str
    digest: str
    device: str
    backend: str
    precision: Literal["fp32", "bf16", "int8", "int8+bf16"]


class HealthAnswer(Wire):
    """Answer of `/health`."""

    status: Literal["ok", "starting", "degraded"]
    version: str
    device: str | None
    models_loaded: bool
    checkpoints: dict[str, NetworkHealth]
    redis: Literal["ok", "refuses", "unreachable"]
    queue: dict[str, int]
    problems: list[str]


class HealthVerdict(Wire):
    """Answer of `/health` to who brings no key where keys are asked for."""

    status: Literal["ok", "starting", "degraded"]


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="Its path, e.g. `objects.0.labels`.")
    message: str


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str | None = None
    request_id: str | None = None
    errors: list[FieldProblem] | None = Field(None, description="One an invalid field.")
