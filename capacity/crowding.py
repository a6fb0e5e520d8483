"""What a core-second costs when others want the cores too.

Owns the measuring: of narrow work, by the same encoding of a PNG in one process and in as many as there are
cores (shared caches, memory and, on virtual machines, the neighbours of a core are in it); of wide work, by
the same run of LaMa alone and beside processes that keep every core busy.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Event
from typing import Any

SIDE, RUNS = 1024, 7


def measure_crowding() -> float:
    """Core-seconds together over core-seconds alone, at least 1."""
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    with context.Pool(cores) as pool:
        pool.map(_encode_for, [0.3] * cores, chunksize=1)  # imports and first pages
        alone = [pool.apply(_encode_for, (0.6,)) for _ in range(3)]
        together = [one for _ in range(3) for one in pool.map(_encode_for, [0.6] * cores, chunksize=1)]
    return max(1.0, statistics.median(together) / statistics.median(alone))


def measure_thrift(settings: Mapping[str, str]) -> float:
    """Core-seconds of a run of LaMa that shares every core over those of one alone, at most 1.

    Loads the network with these settings: call it in a process of its own.
    """
    import numpy as np

    from deployments.networks import load_inpainter
    from engine.types import FillTask, PixelBox
    from settings import read_settings

    chosen = read_settings(dict(settings))
    side = chosen.inpaint_sizes[-1]
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    hole = np.zeros((side, side), np.bool_)
    hole[side // 3 : side // 2, side // 3 : side // 2] = True
    task, inpainter = (
        FillTask(PixelBox(0, 0, side, side), 1.0, pixels, hole),
        load_inpainter(chosen).inpainter,
    )

    def core_s() -> float:
        began = time.process_time()
        inpainter.fill([task])
        return time.process_time() - began

    core_s()
    alone = statistics.median(core_s() for _ in range(RUNS))
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    neighbours = [context.Process(target=_burn_until, args=(over,)) for _ in range(os.cpu_count() or 1)]
    for neighbour in neighbours:
        neighbour.start()
    try:
        time.sleep(1.0)  # they are at work
        shared = statistics.median(core_s() for _ in range(RUNS))
    finally:
        over.set()
        for neighbour in neighbours:
            neighbour.join()
    return min(1.0, shared / alone)


def in_a_process_of_its_own(work: Any, *arguments: Any) -> Any:
    """Networks that were loaded to be measured alone are gone before the service starts."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *arguments).result()


def _burn_until(over: Event) -> None:
    while not over.is_set():
        sum(range(20_000))


def _encode_for(seconds: float) -> float:
    """Core-seconds of encoding one picture."""
    import cv2
    import numpy as np

    from engine.encoding import encode_png

    cv2.setNumThreads(1)
    noise = np.random.default_rng(0).normal(128, 6, (SIDE, SIDE, 3))
    picture = np.clip(noise, 0, 255).astype(np.uint8)
    encode_png(picture)
    ends, began, count = time.monotonic() + seconds, time.process_time(), 0
    while time.monotonic() < ends:
        encode_png(picture)
        count += 1
    return (time.process_time() - began) / max(count, 1)
