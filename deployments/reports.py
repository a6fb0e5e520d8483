"""What the service says of an object, as JSON values.

Owns the fields of `/preview`, of `/status`'s objects and of `result.json`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engine.cutout import CutOut
from engine.errors import MaskTooSmallError
from engine.refine import refine_object
from engine.shapes import coco_rle, mask_polygons
from engine.types import DecodedObject, ObjectPrompt, PixelBox, RefinedObject, RefineOptions, RgbImage


def outline_fields(refined: RefinedObject) -> dict[str, Any]:
    """Score, area, box and outlines of one object, in pixels of `original.png`."""
    return {
        "score": round(refined.score, 4),
        "area": refined.area_px,
        "bbox": _corners(refined.bbox),
        "polygons": mask_polygons(refined.mask),
    }


def candidate_fields(
    decoded: DecodedObject, prompt: ObjectPrompt, image: RgbImage, image_size: int
) -> list[dict[str, Any]]:
    """The decoder's masks in its order of use, each cleaned up on its own; those too small are left out."""
    fields = []
    for candidate in decoded.candidates:
        try:
            refined = refine_object(
                DecodedObject((candidate,)), prompt, image, image_size, RefineOptions(), 0
            )
        except MaskTooSmallError:
            continue
        fields.append({**outline_fields(refined), "stability": round(refined.stability, 4)})
    return fields


def object_fields(
    index: int, prompt: ObjectPrompt, refined: RefinedObject, image: RgbImage
) -> dict[str, Any]:
    """Everything known of one object after refinement."""
    return {
        "index": index,
        "prompt": asdict(prompt),
        **outline_fields(refined),
        "stability": round(refined.stability, 4),
        "rle": coco_rle(refined.mask, image.width, image.height).as_dict(),
        "warnings": list(refined.warnings),
    }


def crop_fields(cut_out: CutOut) -> dict[str, Any]:
    """Where the cut-out's top left pixel lies in `original.png`."""
    return {"crop_offset": [cut_out.offset_x, cut_out.offset_y]}


def _corners(box: PixelBox) -> list[int]:
    return [box.x0, box.y0, box.x1, box.y1]
