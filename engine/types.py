"""Values that the engine's functions take and return.

Owns the frozen dataclasses that travel between stages: pictures, prompts, masks, regions and
fills. Holds no computation beyond the arithmetic of a box. Every array may be read-only: callers
must not write into an argument.

Coordinate frame: x to the right, y down, in pixels of `original.png` (the picture as stored,
after orientation and resizing), unless a field says otherwise. Boxes are half open.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Device(StrEnum):
    """Where a network runs; AUTO is a GPU if torch sees one."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """Of the arithmetic inside a network; what goes in and comes out is fp32 either way.

    INT8 has bytes in the wide convolutions and fp32 elsewhere, INT8_BF16 bytes in most of them and bf16
    elsewhere. AUTO is for settings: the fastest that loses nothing that one sees, see `precision_guard.py`.
    """

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    INT8 = "int8"
    INT8_BF16 = "int8+bf16"

    @property
    def has_8_bits(self) -> bool:
        """Whether convolutions are put into bytes for it."""
        return self in (Precision.INT8, Precision.INT8_BF16)

    @property
    def elsewhere(self) -> Precision:
        """What a network without 8 bits has in its place, and one with them outside of them."""
        return {Precision.INT8: Precision.FP32, Precision.INT8_BF16: Precision.BF16}.get(self, self)


@dataclass(frozen=True, slots=True)
class PixelBox:
    """Half-open rectangle of whole pixels: x0 <= x < x1, y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns covered."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows covered."""
        return self.y1 - self.y0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of this box in an array [H, W, ...]."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def grow(self, margin_px: int) -> PixelBox:
        """This box with `margin_px` more on each side; may leave the picture."""
        return PixelBox(self.x0 - margin_px, self.y0 - margin_px, self.x1 + margin_px, self.y1 + margin_px)

    def clip(self, width: int, height: int) -> PixelBox:
        """The part of this box inside a picture of that size."""
        return PixelBox(max(self.x0, 0), max(self.y0, 0), min(self.x1, width), min(self.y1, height))

    def union(self, other: PixelBox) -> PixelBox:
        """Smallest box that covers both."""
        return PixelBox(
            min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1)
        )

    def shared_with(self, other: PixelBox) -> PixelBox:
        """What both cover; only of boxes that overlap."""
        return PixelBox(
            max(self.x0, other.x0), max(self.y0, other.y0), min(self.x1, other.x1), min(self.y1, other.y1)
        )

    def overlaps(self, other: PixelBox) -> bool:
        """Whether the two share at least one pixel."""
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1


@dataclass(frozen=True, slots=True)
class RgbImage:
    """A picture: uint8 sRGB, no alpha."""

    pixels: NDArray[np.uint8]  # [H, W, 3] RGB

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class ObjectPrompt:
    """What a user says of one object: taps and/or a box, in pixels of the picture.

    `labels` has one entry a point: 1 the object, 0 not the object. `box` is x0, y0, x1, y1.
    """

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None

    @property
    def is_ambiguous(self) -> bool:
        """One tap alone or a box alone: the decoder's best of masks 1-3 is asked for, else mask 0."""
        return len(self.points) == (1 if self.box is None else 0)


@dataclass(frozen=True, slots=True)
class ImageEmbedding:
    """The image encoder's answer for one picture of `width` x `height` pixels."""

    features: NDArray[np.float16] | NDArray[np.float32]  # [C, grid, grid]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class MaskCandidate:
    """One mask that the prompt decoder proposes."""

    logits: NDArray[np.float32]  # [L, L] in the network's padded square frame; > 0 is the object
    score: float  # the network's own prediction of its IoU; about 0..1
    stability: float  # IoU of the masks at logits > +1 and > -1; 0..1


@dataclass(frozen=True, slots=True)
class DecodedObject:
    """All masks proposed for one prompt, the one to use first.

    `seen` is the part of the picture that the network was shown, to which the logits' frame belongs; None:
    all of it.
    """

    candidates: tuple[MaskCandidate, ...]
    seen: PixelBox | None = None


@dataclass(frozen=True, slots=True)
class MaskRegion:
    """A binary mask, stored only where it can be true."""

    box: PixelBox
    pixels: NDArray[np.bool_]  # [box.height, box.width]; false everywhere outside


@dataclass(frozen=True, slots=True)
class WeightRegion:
    """A soft mask 0..255, stored only where it can be above 0."""

    box: PixelBox
    pixels: NDArray[np.uint8]  # [box.height, box.width]; 0 everywhere outside


@dataclass(frozen=True, slots=True)
class ChosenMask:
    """The mask that an object will have, and what the network said of it."""

    mask: MaskRegion
    score: float
    stability: float


@dataclass(frozen=True, slots=True)
class RefinedObject:
    """One object after clean-up: what to cut out and what to remove.

    `hole` is 255 on the object itself and falls to 0 inside the dilated ring around it: the share
    of the fill in the composite. Pixels where it is 0 are never touched.
    """

    mask: MaskRegion
    soft_alpha: WeightRegion
    hole: WeightRegion
    score: float
    stability: float
    area_px: int
    bbox: PixelBox
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RefineOptions:
    """What a client may set of the refinement; None = in proportion to the object.

    `dilate_px` is the width of the ring around the object that is removed with it, `feather_px`
    the width of the fall of the fill's weight inside that ring; both in picture pixels, 0 or more.
    """

    dilate_px: int | None = None
    feather_px: int | None = None


@dataclass(frozen=True, slots=True)
class FillTask:
    """One run of the inpainting network: a crop of the picture, brought to a fixed square size.

    `crop` is the part of the picture that `pixels` shows before resizing and padding; `scale` is
    network pixels per picture pixel (<= 1); the crop occupies the top left
    round(crop.height * scale) x round(crop.width * scale) of the square, the rest is padding.
    """

    crop: PixelBox
    scale: float
    pixels: NDArray[np.uint8]  # [S, S, 3] RGB
    hole: NDArray[np.bool_]  # [S, S] true = to be filled


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """Which fills are needed and which pictures are made of them.

    `tasks[per_object[i]]` fills object i alone, the others left in place. `full` lists the tasks
    whose fills together remove all objects (a task may serve both: it is then run once), with
    `full_holes` the hole to composite with each, same order.
    """

    tasks: tuple[FillTask, ...]
    per_object: tuple[int, ...]
    full: tuple[int, ...]
    full_holes: tuple[WeightRegion, ...]


@dataclass(frozen=True, slots=True)
class Fill:
    """The inpainting network's picture for one `FillTask`; only the hole of it is used."""

    pixels: NDArray[np.uint8]  # [S, S, 3] RGB
