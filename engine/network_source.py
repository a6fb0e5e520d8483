"""A network as something to execute: told apart from others, and built only where it must be.

Owns the names by which kept work on a network is found again. Imports no torch: most starts of a replica
find their network converted and compiled, and torch would be half of their time and memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

# Our code, beside a network's own, that decides what is made of it.
CONVERTING = tuple(Path(__file__).with_name(name) for name in ("conversion.py", "fourier_products.py"))
QUANTIZING = (Path(__file__).with_name("quantization.py"),)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkSource:
    """One network of one checkpoint.

    Attributes:
        name: of the network, a file name's worth.
        weights_digest: of the checkpoint's file.
        load: builds the module, in fp32 on the CPU; nobody else changes or trains it afterwards. It takes
            and gives tensors by position.
        code: the folder of the module's source, whose every change makes another network of it.
        example_inputs: one valid call, small where axes are dynamic, no dynamic axis of length 1.
        dynamic_axes: for each input, the axes whose length varies between calls.
        calibration: makes calls with usual inputs, by which the steps of 8 bits are chosen; its source is in
            `code`. None where 8 bits are not offered.
    """

    name: str
    weights_digest: str
    load: Callable[[], nn.Module]
    code: Path
    example_inputs: tuple[NDArray[Any], ...]
    dynamic_axes: tuple[tuple[int, ...], ...]
    calibration: Callable[[], Sequence[tuple[NDArray[Any], ...]]] | None = None

    def __post_init__(self) -> None:
        if len(self.example_inputs) != len(self.dynamic_axes):
            raise ValueError("one tuple of dynamic axes is needed for each input")


def digest_of_code(*places: Path) -> str:
    """SHA-256, hex, of Python files: those named, and those that lie in the folders named."""
    digest = hashlib.sha256()
    for place in places:
        for file in sorted(place.glob("*.py")) if place.is_dir() else [place]:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
