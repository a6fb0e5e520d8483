"""What a `/segment` call asked for, as it is stored with its job.

Owns the JSON text that `storage/` keeps without reading it: written by the ingress, read by the
runner, perhaps of another version; unknown keys are therefore ignored on reading.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from engine.types import ObjectPrompt

REMOVALS = ("inpainted", "full_inpainted")


@dataclass(frozen=True, slots=True)
class ObjectRequest:
    """One object: a prompt in pixels of `original.png`, or the storage key of the client's own mask."""

    points: tuple[tuple[float, float], ...]
    labels: tuple[int, ...]
    box: tuple[float, float, float, float] | None
    mask_key: str | None

    @property
    def prompt(self) -> ObjectPrompt:
        """The engine's view of it."""
        return ObjectPrompt(points=self.points, labels=self.labels, box=self.box)


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """A whole `/segment` call."""

    objects: tuple[ObjectRequest, ...]
    outputs: tuple[str, ...]  # of masks, cropped, inpainted, full_inpainted
    dilate_px: int | None
    feather_px: int | None
    format: str  # of the inpainted results: png, jpeg, webp

    @property
    def removes(self) -> bool:
        """Whether anything is to be inpainted."""
        return any(output in REMOVALS for output in self.outputs)

    def with_mask(self, index: int, key: str) -> SegmentRequest:
        """The same call with the client's own mask of object `index` stored under `key`."""
        objects = list(self.objects)
        objects[index] = replace(objects[index], mask_key=key)
        return replace(self, objects=tuple(objects))

    def to_json(self) -> str:
        """The text to store."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> SegmentRequest:
        """The call that `to_json` wrote."""
        fields = json.loads(text)
        return cls(
            objects=tuple(_read_object(item) for item in fields["objects"]),
            outputs=tuple(fields["outputs"]),
            dilate_px=fields["dilate_px"],
            feather_px=fields["feather_px"],
            format=fields["format"],
        )


def _read_object(fields: dict[str, object]) -> ObjectRequest:
    points, labels, box, mask_key = (fields[name] for name in ("points", "labels", "box", "mask_key"))
    assert isinstance(points, list) and isinstance(labels, list)
    return ObjectRequest(
        points=tuple((float(x), float(y)) for x, y in points),
        labels=tuple(int(label) for label in labels),
        box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])) if isinstance(box, list) else None,
        mask_key=str(mask_key) if mask_key is not None else None,
    )
