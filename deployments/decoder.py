"""Decoding of untrusted bytes, where its failure cannot take anything along.

Owns the limits of one decode and what each failure is called to the client. The work itself is
`deployments.decoding`'s, in a child process of `deployments.sandbox`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployments.sandbox import CrashedError, Limits, MemoryLimitError, Sandbox, SandboxError, TimeLimitError
from engine.errors import PhotoError
from storage.errors import StoreFull

log = logging.getLogger("ray.serve")

# At a cap of 64 megapixels legal pictures took up to 20.4 bytes a pixel (WebP), the others less (AVIF
# 17.9, RGBA PNG 12.5, CMYK JPEG 9.4, HEIC 5.7); measured 2026-11-22.
BYTES_A_PIXEL = 24
BASE_BYTES = 256 << 20

_PNG_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


class DecodedPhoto(BaseModel):
    """A picture that was decoded and written as PNG. Read from a child, so checked field by field."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    digest: str = Field(pattern="^[0-9a-f]{64}$")
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    uploaded_width: int = Field(ge=1)
    uploaded_height: int = Field(ge=1)
    format: str = Field(max_length=20)
    notes: list[str] = Field(max_length=20)


class Decoder:
    """Decodes pictures, each in a process of its own. Its methods block: call them from a thread."""

    def __init__(self, *, max_pixels: int, max_side: int, seconds: float) -> None:
        """Each decode is bounded by `seconds` and by the memory that a picture of `max_pixels` may need."""
        self._max_pixels = max_pixels
        self._max_side = max_side
        memory = BASE_BYTES + BYTES_A_PIXEL * max_pixels
        written = 4 * min(max_side**2, max_pixels) + (1 << 20)
        self._sandbox = Sandbox("deployments.decoding", Limits(seconds, memory, written))

    def photo(self, upload: Path, target: Path) -> DecodedPhoto:
        """Decode the file `upload` and write it to `target` as the service's own PNG.

        Raises:
            PhotoError: not a picture that can be worked on, or beyond the limits of time and memory.
            StoreFull: no room for `target`.
        """
        answer = self._run(
            "take_photo",
            upload=str(upload),
            target=str(target),
            max_pixels=self._max_pixels,
            max_side=self._max_side,
        )
        try:
            photo = DecodedPhoto.model_validate(answer)
        except ValidationError as error:
            raise _crashed(error) from error
        with target.open("rb") as file:
            size = photo.width.to_bytes(4, "big") + photo.height.to_bytes(4, "big")
            if max(photo.width, photo.height) > self._max_side or file.read(24) != _PNG_HEAD + size:
                raise _crashed("the file written is not the one described")
        return photo

    def mask(self, upload: Path, target: Path, width: int, height: int) -> None:
        """Decode a mask of `width` x `height` pixels and write it to `target` as grey PNG.

        Raises:
            PhotoError: not a PNG of that size, empty, or beyond the limits of time and memory.
            StoreFull: no room for `target`.
        """
        self._run("take_mask", upload=str(upload), target=str(target), width=width, height=height)

    def close(self) -> None:
        """End the decoding process."""
        self._sandbox.close()

    def _run(self, function: str, **arguments: Any) -> Mapping[str, Any]:
        try:
            answer = self._sandbox.run(function, **arguments)
        except (TimeLimitError, MemoryLimitError) as error:
            wanted = "decoding it took" if isinstance(error, TimeLimitError) else "decoding it needs"
            kind = "" if isinstance(error, TimeLimitError) else " of memory"
            raise PhotoError(
                f"Invalid image data: {wanted} {error}{kind}; send a smaller or re-saved version"
            ) from error
        except (CrashedError, SandboxError) as error:
            raise _crashed(error) from error
        if isinstance(answer.get("refused"), str):
            raise PhotoError(answer["refused"][:500])
        if answer.get("full"):
            raise StoreFull("no space left for the decoded picture")
        return answer


def _crashed(reason: object) -> PhotoError:
    log.warning("a decoder crashed on an upload: %s", reason)
    return PhotoError("Invalid image data: the decoder crashed on it; send a re-saved version")
