"""What a core-second of narrow work costs when others want the cores too.

Owns the measuring, by the same encoding of a PNG in one process and in as many as there are cores: shared
caches, memory and, on virtual machines, the neighbours of a core are in it. For who has no load to measure it
with: `capacity/full.py`.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

SIDE = 1024


def measure_crowding() -> float:
    """Core-seconds together over core-seconds alone, at least 1."""
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    with context.Pool(cores) as pool:
        pool.map(_encode_for, [0.3] * cores, chunksize=1)  # imports and first pages
        alone = [pool.apply(_encode_for, (0.6,)) for _ in range(3)]
        together = [one for _ in range(3) for one in pool.map(_encode_for, [0.6] * cores, chunksize=1)]
    return max(1.0, statistics.median(together) / statistics.median(alone))


def in_a_process_of_its_own(work: Any, *arguments: Any) -> Any:
    """Networks that were loaded to be measured alone are gone before the service starts."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *arguments).result()


def _encode_for(seconds: float) -> float:
    """Core-seconds of encoding one picture."""
    import cv2
    import numpy as np

    from engine.png import encode_png

    cv2.setNumThreads(1)
    noise = np.random.default_rng(0).normal(128, 6, (SIDE, SIDE, 3))
    picture = np.clip(noise, 0, 255).astype(np.uint8)
    encode_png(picture)
    ends, began, count = time.monotonic() + seconds, time.process_time(), 0
    while time.monotonic() < ends:
        encode_png(picture)
        count += 1
    return (time.process_time() - began) / max(count, 1)
