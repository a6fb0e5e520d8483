"""What one must know of a LaMa checkpoint to use its network: it takes any picture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LamaInterface:
    """`name`: the checkpoint's own for itself, or none."""

    name: str
