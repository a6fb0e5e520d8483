"""Seconds of a network's runs by batch, in this process, as the service executes it.

Owns the measuring for `capacity.measure`; nothing else runs meanwhile, so threads and speed-up can be told.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

BATCHES = (1, 2, 4)
PROMPTS = (1, 3, 8)
RUNS = 5


@dataclass(frozen=True, slots=True)
class Point:
    """A batch of `batch` calls: seconds on idle cores, and core-seconds. Medians of `RUNS`."""

    batch: int
    seconds: float
    core_s: float


def measure_curves(settings: Mapping[str, Any], longest_s: float = 60.0) -> dict[str, list[dict[str, Any]]]:
    """Of encoder (pictures), decoder (by prompts a picture) and LaMa (by side).

    Larger batches are left out when `longest_s` is over.
    """
    from deployments.networks import load_decoder, load_encoder, load_inpainter
    from engine.types import FillTask, ObjectPrompt, PixelBox, RgbImage
    from settings import read_settings

    chosen, ends = read_settings(dict(settings)), time.monotonic() + longest_s
    noise = np.random.default_rng(0)
    picture = RgbImage(noise.integers(0, 256, (683, 1024, 3), np.uint8))
    curves: dict[str, list[dict[str, Any]]] = {}

    def curve(name: str, batches: tuple[int, ...], run: Callable[[int], object]) -> None:
        points: list[dict[str, Any]] = []
        for batch in batches:
            if points and time.monotonic() > ends:
                break
            points.append(asdict(_timed(batch, run)))
        curves[name] = points

    encoder = load_encoder(chosen)
    (embedding,) = encoder.encoder.encode([picture])
    curve("encoder", BATCHES, lambda batch: encoder.encoder.encode([picture] * batch))
    decoder = load_decoder(chosen)
    for prompts in PROMPTS:
        asked = [ObjectPrompt(points=((400.0 + 9 * i, 300.0),), labels=(1,)) for i in range(prompts)]

        def decode(batch: int, asked: list[ObjectPrompt] = asked) -> object:
            return decoder.decoder.decode([(embedding, asked)] * batch)

        curve(f"decoder, {prompts} prompt{'s' if prompts > 1 else ''}", BATCHES, decode)
    inpainter = load_inpainter(chosen)
    for side in sorted({chosen.inpaint_sizes[0], chosen.inpaint_sizes[-1]}):
        pixels = noise.integers(0, 256, (side, side, 3), np.uint8)
        hole = np.zeros((side, side), np.bool_)
        hole[side // 3 : side // 2, side // 3 : side // 2] = True
        task = FillTask(PixelBox(0, 0, side, side), 1.0, pixels, hole)

        def fill(batch: int, task: FillTask = task) -> object:
            return inpainter.inpainter.fill([task] * batch)

        curve(f"LaMa, {side} px", BATCHES[:2], fill)
    return curves


def _timed(batch: int, run: Callable[[int], object]) -> Point:
    run(batch)
    walls, cores = [], []
    for _ in range(RUNS):
        began, spent = time.perf_counter(), time.process_time()
        run(batch)
        walls.append(time.perf_counter() - began)
        cores.append(time.process_time() - spent)
        if sum(walls) > 6:
            break
    return Point(batch, statistics.median(walls), statistics.median(cores))
