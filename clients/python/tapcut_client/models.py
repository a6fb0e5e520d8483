"""What is sent and what is answered, as frozen values.

Owns the reading of the service's JSON. Fields that a newer service adds are ignored, missing ones
fail by name. All coordinates are x, y in pixels of `original.png`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from tapcut_client.errors import TapcutError

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Polygon = tuple[tuple[int, int], ...]
State = Literal["uploaded", "processing", "ready", "error"]


@dataclass(frozen=True, slots=True)
class ObjectPrompt:
    """Which object is meant: taps (`labels`: 1 the object, 0 not the object), a box, or a mask.

    `mask` is PNG bytes of the picture's size, above 127 = object; it takes the network's place.
    """

    points: Sequence[Point] = ()
    labels: Sequence[int] | None = None
    box: Box | None = None
    mask: bytes | None = None

    def as_json(self) -> dict[str, Any]:
        """The object as `/segment` takes it."""
        import base64

        fields: dict[str, Any] = {}
        if self.points:
            fields["points"] = [[float(x), float(y)] for x, y in self.points]
        if self.labels is not None:
            fields["labels"] = [int(label) for label in self.labels]
        if self.box is not None:
            fields["box"] = [float(side) for side in self.box]
        if self.mask is not None:
            fields["mask"] = base64.b64encode(self.mask).decode()
        return fields

    def scaled(self, x_factor: float, y_factor: float) -> ObjectPrompt:
        """The same object in a picture that is scaled by these factors."""
        x0, y0, x1, y1 = self.box or (0.0, 0.0, 0.0, 0.0)
        return replace(
            self,
            points=[(x * x_factor, y * y_factor) for x, y in self.points],
            box=self.box and (x0 * x_factor, y0 * y_factor, x1 * x_factor, y1 * y_factor),
        )


@dataclass(frozen=True, slots=True)
class Upload:
    """A registered picture. `notes` say what was done to it on the way in.

    `width`, `height`: of `original.png`, which is smaller than the upload where the service has a limit.
    """

    job_id: str
    width: int
    height: int
    uploaded_width: int
    uploaded_height: int
    expires_at: str
    notes: tuple[str, ...]

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """From `/upload`'s answer."""
        return cls(
            job_id=fields["job_id"],
            width=fields["width"],
            height=fields["height"],
            uploaded_width=fields["uploaded_width"],
            uploaded_height=fields["uploaded_height"],
            expires_at=fields["expires_at"],
            notes=tuple(fields["notes"]),
        )

    @property
    def scaled_down(self) -> bool:
        """Whether `original.png` is smaller than what was uploaded."""
        return (self.width, self.height) != (self.uploaded_width, self.uploaded_height)

    def in_frame(self, objects: Sequence[ObjectPrompt]) -> list[ObjectPrompt]:
        """Objects in pixels of what was uploaded, as objects in pixels of `original.png`.

        A `mask` is scaled with them, by its nearest pixels.

        Raises:
            TapcutError: a point lies outside of what was uploaded.
        """
        if not self.scaled_down:
            return list(objects)
        # The service would name the scaled point, which nobody gave.
        width, height = self.uploaded_width, self.uploaded_height
        for x, y in (point for one in objects for point in one.points):
            if not (0 <= x < width and 0 <= y < height):
                raise TapcutError(f"point ({x:g}, {y:g}) is outside the picture of {width}x{height} pixels")
        factors = self.width / self.uploaded_width, self.height / self.uploaded_height
        return [self._mask_in_frame(one.scaled(*factors)) for one in objects]

    def from_frame(self, outline: Outline) -> Outline:
        """An outline in pixels of `original.png`, as one in pixels of what was uploaded, to the nearest."""
        if not self.scaled_down:
            return outline
        return outline.scaled(self.uploaded_width / self.width, self.uploaded_height / self.height)

    def _mask_in_frame(self, one: ObjectPrompt) -> ObjectPrompt:
        if one.mask is None:
            return one
        from tapcut_client.pictures import resized_mask

        return replace(one, mask=resized_mask(one.mask, self.width, self.height))


@dataclass(frozen=True, slots=True)
class Outline:
    """One mask as outlines. `bbox`: x0, y0, x1, y1, half open; `area` in pixels."""

    score: float
    area: int
    bbox: tuple[int, int, int, int]
    polygons: tuple[Polygon, ...]

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """From any answer that holds an outline."""
        x0, y0, x1, y1 = fields["bbox"]
        return cls(
            score=fields["score"],
            area=fields["area"],
            bbox=(x0, y0, x1, y1),
            polygons=tuple(tuple((x, y) for x, y in polygon) for polygon in fields["polygons"]),
        )

    def scaled(self, x_factor: float, y_factor: float) -> Outline:
        """The same mask in a picture that is scaled by these factors; `area` in proportion."""
        x0, y0, x1, y1 = self.bbox
        return replace(
            self,
            area=round(self.area * x_factor * y_factor),
            bbox=(round(x0 * x_factor), round(y0 * y_factor), round(x1 * x_factor), round(y1 * y_factor)),
            polygons=tuple(
                tuple((round(x * x_factor), round(y * y_factor)) for x, y in polygon)
                for polygon in self.polygons
            ),
        )


@dataclass(frozen=True, slots=True)
class Preview:
    """The mask that a `segment` call with the same prompt would use, and the other candidates."""

    outline: Outline
    candidates: tuple[Outline, ...]

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """From `/preview`'s answer."""
        return cls(Outline.of(fields), tuple(Outline.of(one) for one in fields["candidates"]))


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """One object of a ready job. `crop_offset`: where its cut-out's top left pixel lies."""

    index: int
    outline: Outline
    stability: float
    crop_offset: tuple[int, int] | None
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """From one of `/status`'s objects."""
        offset = fields.get("crop_offset")
        return cls(
            index=fields["index"],
            outline=Outline.of(fields),
            stability=fields["stability"],
            crop_offset=(offset[0], offset[1]) if offset is not None else None,
            warnings=tuple(fields["warnings"]),
        )


@dataclass(frozen=True, slots=True)
class Status:
    """A job at one moment. `progress`: 0 to 100; `queue_position`: 1 = next, None when it does not wait."""

    job_id: str
    status: State
    progress: int
    stage: str
    num_objects: int
    queue_position: int | None
    objects: tuple[ObjectResult, ...]
    files: tuple[str, ...]
    error: str | None
    width: int
    height: int
    expires_at: str

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.status in ("ready", "error")

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """From `/status`'s answer or an event."""
        return cls(
            job_id=fields["job_id"],
            status=fields["status"],
            progress=fields["progress"],
            stage=fields["stage"],
            num_objects=fields["num_objects"],
            queue_position=fields["queue_position"],
            objects=tuple(ObjectResult.of(one) for one in fields["objects"]),
            files=tuple(fields["files"]),
            error=fields["error"],
            width=fields["width"],
            height=fields["height"],
            expires_at=fields["expires_at"],
        )
