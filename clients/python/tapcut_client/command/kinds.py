"""What can be made of a picture, and how the results are called.

One object: `photo.cut.png`, `photo.clean.png`; several: `photo.cut-0.png`, `photo.cut-1.png`.
"""

from __future__ import annotations

import re

from tapcut_client.command.batch import Kind
from tapcut_client.process import SUFFIXES


def extract_kind(with_masks: bool) -> Kind:
    """The objects, transparent around; with their masks on request."""

    def rename(name: str, objects: int) -> str | None:
        found = re.fullmatch(r"(cropped|mask)_(\d+)\.png", name)
        if found is None or (found[1] == "mask" and not with_masks):
            return None
        number = "" if objects == 1 else f"-{found[2]}"
        return f"{'.mask' if found[1] == 'mask' else ''}{number}.png"

    outputs = ("cropped", "masks") if with_masks else ("cropped",)
    return Kind("extract" + (" with masks" if with_masks else ""), outputs, "png", rename)


def remove_kind(format: str) -> Kind:
    """The picture without all the objects."""

    def rename(name: str, objects: int) -> str | None:
        suffix = SUFFIXES[format]
        return f".{suffix}" if name == f"full_inpainted.{suffix}" else None

    return Kind(f"remove {format}", ("full_inpainted",), format, rename)
