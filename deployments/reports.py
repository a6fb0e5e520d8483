"""What the service says of an object, as JSON values.

Owns the fields of `/preview`, of `/status`'s objects and of `result.json`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from engine.cutout import CutOut
from engine.refine import candidate_mask, shown_score
from engine.shapes import coco_rle, mask_polygons
from engine.types import (
    ChosenMask,
    DecodedObject,
    MaskRegion,
    ObjectPrompt,
    PixelBox,
    RefinedObject,
    RgbImage,
)


def preview_fields(
    decoded: DecodedObject, prompt: ObjectPrompt, chosen: ChosenMask, image: RgbImage, image_size: int
) -> dict[str, Any]:
    """A mask, and the decoder's masks in its order of use: the one in use as refined, the others as decoded.

    Those below the smallest useful area are left out.
    """
    own = _mask_fields(chosen.mask, chosen.score, image)
    candidates: list[dict[str, Any]] = []
    for candidate in decoded.candidates:
        score, stability = shown_score(candidate), candidate.stability
        if (score, stability) == (chosen.score, chosen.stability):
            fields: dict[str, Any] | None = own
        else:
            mask = candidate_mask(candidate, decoded.seen, prompt, image, image_size)
            fields = None if mask is None else _mask_fields(mask, score, image)
        if fields is not None:
            candidates.append({**fields, "stability": round(stability, 4)})
    return {**own, "candidates": candidates}


def _mask_fields(mask: MaskRegion, score: float, image: RgbImage) -> dict[str, Any]:
    """Score, area, box, outlines and exact pixels of one object, in pixels of `original.png`."""
    return {
        "score": round(score, 4),
        "area": int(np.count_nonzero(mask.pixels)),
        "bbox": _corners(mask.box),
        "polygons": mask_polygons(mask),
        "rle": coco_rle(mask, image.width, image.height).as_dict(),
    }


def object_fields(
    index: int, prompt: ObjectPrompt, refined: RefinedObject, image: RgbImage
) -> dict[str, Any]:
    """Everything known of one object after refinement."""
    return {
        "index": index,
        "prompt": asdict(prompt),
        **_mask_fields(refined.mask, refined.score, image),
        "stability": round(refined.stability, 4),
        "warnings": list(refined.warnings),
    }


def crop_fields(cut_out: CutOut) -> dict[str, Any]:
    """Where the cut-out's top left pixel lies in `original.png`."""
    return {"crop_offset": [cut_out.offset_x, cut_out.offset_y]}


def _corners(box: PixelBox) -> list[int]:
    return [box.x0, box.y0, box.x1, box.y1]
