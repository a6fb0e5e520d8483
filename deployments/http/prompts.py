"""From the wire's prompts to the engine's: defaults, normalised coordinates, checks against the picture.

Owns the reading of a `/segment` or `/preview` request. The one place where the JSON stored with a
job (`SegmentRequest`) is written and read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from deployments.http.problems import FieldsRefusedError
from deployments.http.schemas import ObjectSpec, Output, Point, PromptFields, SegmentBody
from deployments.job_request import ObjectRequest, SegmentRequest
from engine.errors import PromptError
from engine.mobile_sam.prompt_rules import validate_prompt
from engine.types import ObjectPrompt

_POINTS = TypeAdapter(list[Point])


@dataclass(frozen=True, slots=True)
class ReadSegment:
    """A `/segment` call, understood: what the job is to do, and the masks it brings (index -> base64)."""

    request: SegmentRequest
    own_masks: dict[int, str]


def to_prompt(
    fields: PromptFields, *, width: int, height: int, normalized: bool, where: str = "points"
) -> ObjectPrompt:
    """The engine's prompt in pixels of a picture of `width` x `height`.

    Raises:
        FieldsRefusedError: a coordinate lies outside the picture or the prompt contradicts itself.
    """

    def scale(x: float, y: float) -> tuple[float, float]:
        if not normalized:
            return x, y
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise FieldsRefusedError(
                f"{where}: ({x:g}, {y:g}) is not within 0..1 although normalized is true"
            )
        return x * (width - 1), y * (height - 1)

    points = tuple(scale(x, y) for x, y in fields.points)
    box = None
    if fields.box is not None:
        box = (*scale(*fields.box[:2]), *scale(*fields.box[2:]))
    labels = tuple(fields.labels) if fields.labels is not None else (1,) * len(points)
    prompt = ObjectPrompt(points=points, labels=labels, box=box)
    try:
        validate_prompt(prompt, width, height)
    except PromptError as error:
        raise FieldsRefusedError(f"{where}: {error}") from error
    return prompt


def read_segment(
    body: SegmentBody | None, query_points: str | None, *, width: int, height: int, max_objects: int
) -> ReadSegment:
    """A `/segment` call against its picture.

    Raises:
        FieldsRefusedError: no object, objects given twice, too many, or one that does not fit the picture.
    """
    body = body or SegmentBody()
    specs = _specs(body, query_points)
    if len(specs) > max_objects:
        raise FieldsRefusedError(f"objects: {len(specs)} given, at most {max_objects} in one call")
    objects, own_masks = [], {}
    for index, spec in enumerate(specs):
        prompt = ObjectPrompt()
        if spec.mask is not None:
            own_masks[index] = spec.mask
        if spec.points or spec.box is not None:
            where = f"objects.{index}" if body.objects is not None else f"coordinates_list.{index}"
            prompt = to_prompt(spec, width=width, height=height, normalized=body.normalized, where=where)
        objects.append(
            ObjectRequest(points=prompt.points, labels=prompt.labels, box=prompt.box, mask_key=None)
        )
    outputs = body.outputs if body.outputs is not None else list(Output)
    if not outputs:
        raise FieldsRefusedError("outputs: empty, name at least one of " + ", ".join(Output))
    request = SegmentRequest(
        objects=tuple(objects),
        outputs=tuple(sorted({output.value for output in outputs})),
        dilate_px=body.dilate_px,
        feather_px=body.feather_px,
        format=body.format.value,
    )
    return ReadSegment(request, own_masks)


def _specs(body: SegmentBody, query_points: str | None) -> Sequence[ObjectSpec]:
    given = [
        name
        for name, value in (
            ("coordinates_list in the query", query_points),
            ("coordinates_list in the body", body.coordinates_list),
            ("objects", body.objects),
        )
        if value is not None
    ]
    if len(given) != 1:
        found = "none of them" if not given else " and ".join(given)
        raise FieldsRefusedError(
            f"coordinates_list: give the points once, as coordinates_list or objects; found {found}"
        )
    if body.objects is not None:
        specs: Sequence[ObjectSpec] = body.objects
    else:
        points = body.coordinates_list if query_points is None else _parse_points(query_points)
        specs = [ObjectSpec(points=[point]) for point in points or []]
    if not specs:
        raise FieldsRefusedError("coordinates_list: empty, give at least one point")
    return specs


def _parse_points(text: str) -> list[tuple[float, float]]:
    try:
        return _POINTS.validate_python(json.loads(text))
    except (ValidationError, ValueError, RecursionError) as error:
        raise FieldsRefusedError(
            "coordinates_list: not a JSON list of [x, y] pairs, e.g. [[250,300],[400,150]]"
        ) from error
