"""What can be made of a picture, and how the results are called.

One object: `photo.cut.png`, `photo.clean.png`; several: `photo.cut-0.png`, `photo.cut-1.png`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tapcut_client.defaults import SUFFIXES


@dataclass(frozen=True, slots=True)
class Kind:
    """What is made of each picture, and how. `endings`: of so many objects, by the service's file names."""

    name: str
    outputs: tuple[str, ...]
    endings: Callable[[int], Mapping[str, str]]
    format: str = "png"
    normalized: bool = False
    dilate_px: int | None = None
    feather_px: int | None = None

    @property
    def signature(self) -> str:
        """Tells kinds apart whose results differ."""
        rest = (self.name, self.outputs, self.format, self.normalized, self.dilate_px, self.feather_px)
        return json.dumps(rest)


def _number(index: int, objects: int) -> str:
    return "" if objects == 1 else f"-{index}"


def extract_kind(with_masks: bool, normalized: bool = False) -> Kind:
    """The objects, transparent around; with their masks on request."""

    def endings(objects: int) -> dict[str, str]:
        found = {f"cropped_{one}.png": f"{_number(one, objects)}.png" for one in range(objects)}
        if with_masks:
            found |= {f"mask_{one}.png": f".mask{_number(one, objects)}.png" for one in range(objects)}
        return found

    outputs = ("cropped", "masks") if with_masks else ("cropped",)
    return Kind("extract", outputs, endings, normalized=normalized)


def remove_kind(
    format: str,
    each: bool = False,
    normalized: bool = False,
    dilate_px: int | None = None,
    feather_px: int | None = None,
) -> Kind:
    """The picture without all the objects; with `each`, one picture an object, without that one alone."""
    suffix = SUFFIXES[format]

    def endings(objects: int) -> dict[str, str]:
        if each:
            return {
                f"inpainted_{one}.{suffix}": f"{_number(one, objects)}.{suffix}" for one in range(objects)
            }
        return {f"full_inpainted.{suffix}": f".{suffix}"}

    outputs = ("inpainted",) if each else ("full_inpainted",)
    return Kind("remove", outputs, endings, format, normalized, dilate_px, feather_px)
