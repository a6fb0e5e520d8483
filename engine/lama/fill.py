"""Fill tasks to fills: batches for the inpainting network.

Owns the grouping by size and the way from 8 bits to the network's 0..1 and back. How the network is
executed is `engine.runtime`'s business; here it is a callable.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.types import Fill, FillTask

# float32 [B, 3, S, S] 0..1 RGB and float32 [B, 1, S, S] (1 = fill) in, ([B, 3, S, S],) 0..1 out.
Network = Callable[..., tuple[NDArray[np.float32], ...]]


class Inpainter:
    """Runs fill tasks of any mix of sizes; tasks of one size share a run of the network."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def fill(self, tasks: Sequence[FillTask]) -> list[Fill]:
        """One fill a task, in their order: uint8 [S, S, 3] RGB of the task's size."""
        by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, task in enumerate(tasks):
            by_size[task.hole.shape].append(index)
        fills: dict[int, Fill] = {}
        for indices in by_size.values():
            pictures = np.stack([tasks[index].pixels for index in indices]).transpose(0, 3, 1, 2)
            holes = np.stack([tasks[index].hole for index in indices])[:, None]
            (filled,) = self._network(
                np.ascontiguousarray(pictures, np.float32) / np.float32(255), holes.astype(np.float32)
            )
            pixels = np.rint(np.clip(filled, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
            fills |= {
                index: Fill(np.ascontiguousarray(one)) for index, one in zip(indices, pixels, strict=True)
            }
        return [fills[index] for index in range(len(tasks))]
