"""What one must know of a MobileSAM checkpoint to use its networks; sizes inside them are `config.py`'s."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MobileSamInterface:
    """What surrounds the networks. `name`: the checkpoint's own for itself, or none.

    `image_size` is the side of the padded frame in pixels; an embedding is `channels` x `grid` x `grid`.
    `single_first` and `closer_look`: see `engine.mobile_sam.config.MobileSamConfig`.
    """

    name: str
    image_size: int
    channels: int
    grid: int
    single_first: bool
    closer_look: float
