"""Seconds of each stage of one job, in one process, without Ray or Redis: `make stages`.

    python -m benchmarks.stages [--photo FILE] [--tap X,Y] [--runs N]

Draws its own picture when none is given. Uses the checkpoints and the device that the settings name,
as the service does. What the service adds on top (HTTP, queue, hops) is not in this table.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np

from deployments.networks import load_decoder, load_encoder, load_inpainter
from engine.closer_look import look_closer
from engine.cutout import cut_out
from engine.lama.inpaint import composite, plan_removal
from engine.photo import read_photo
from engine.png import decode_png, encode_png
from engine.refine import refine_object
from engine.types import ObjectPrompt, RefineOptions
from settings import read_settings

Answer = TypeVar("Answer")


class Clock:
    """Collects seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def time(self, stage: str, work: Callable[[], Answer]) -> Answer:
        """Run `work` and note its seconds under `stage`."""
        started = time.perf_counter()
        answer = work()
        self.seconds.setdefault(stage, []).append(time.perf_counter() - started)
        return answer


def drawn_photo() -> bytes:
    """A PNG of 1024 x 683 pixels: a disc on soft noise."""
    y, x = np.mgrid[0:683, 0:1024].astype(np.float32)
    picture = np.stack([100 + 40 * np.sin(x / 90), 130 + 30 * np.cos(y / 70), 110 + 0.05 * x], axis=-1)
    picture[(x - 420) ** 2 + (y - 330) ** 2 < 110**2] = (230, 120, 40)
    picture += np.random.default_rng(0).normal(0, 6, picture.shape)
    return encode_png(np.clip(picture, 0, 255).astype(np.uint8))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photo", type=Path, help="a photo; default: one drawn here")
    parser.add_argument("--tap", default="420,330", help="x,y in pixels of original.png")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    x, y = (float(part) for part in options.tap.split(","))
    prompt = ObjectPrompt(points=((x, y),), labels=(1,))
    data = options.photo.read_bytes() if options.photo else drawn_photo()

    settings = read_settings()
    started = time.perf_counter()
    encoder, decoder, inpainter = load_encoder(settings), load_decoder(settings), load_inpainter(settings)
    loading = time.perf_counter() - started
    clock = Clock()
    for run in range(options.runs + 1):
        if run == 1:
            clock = Clock()  # the first run warms up
        photo = clock.time(
            "intake",
            lambda: read_photo(data, max_pixels=settings.max_pixels, max_side=settings.max_image_size),
        )
        stored = clock.time("original.png", lambda photo=photo: encode_png(photo.image.pixels))
        image = clock.time("read original.png", lambda stored=stored: decode_png(stored))
        (embedding,) = clock.time("encode", lambda image=image: encoder.encoder.encode([image]))
        ((decoded,),) = clock.time("decode", lambda e=embedding: decoder.decoder.decode([(e, [prompt])]))
        if decoder.closer_look:
            decoded = clock.time(
                "look closer",
                lambda d=decoded, i=image: look_closer(
                    encoder.encoder, decoder.decoder, d, prompt, i, decoder.image_size, decoder.closer_look
                ),
            )
        item = clock.time(
            "refine",
            lambda d=decoded, i=image: refine_object(d, prompt, i, decoder.image_size, RefineOptions(), 0),
        )
        plan = clock.time(
            "plan removal", lambda i=image, o=item: plan_removal(i, [o], settings.inpaint_sizes)
        )
        fills = clock.time("inpaint", lambda p=plan: inpainter.inpainter.fill(p.tasks))
        result = clock.time(
            "composite", lambda i=image, p=plan, f=fills, o=item: composite(i, [(p.tasks[0], f[0], o.hole)])
        )
        clock.time("full_inpainted.png", lambda r=result: encode_png(r.pixels))
        cut = clock.time("cut out", lambda i=image, o=item: cut_out(i, o, 8))
        clock.time("cropped_0.png", lambda c=cut: encode_png(c.rgba))

    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.processor() or platform.machine()}, "
        f"{image.width}x{image.height} px, {options.runs} runs, loading {loading:.1f} s"
    )
    for one in (encoder.description, inpainter.description):
        print(f"{one['name']} ({one['checkpoint']}) on {one['device']}, {one['backend']}")
    print(f"square of the crop: {plan.tasks[0].hole.shape[0]} px")
    print(f"{'stage':<22}{'min ms':>10}{'median ms':>12}{'max ms':>10}")
    for stage, seconds in clock.seconds.items():
        row = (1000 * min(seconds), 1000 * statistics.median(seconds), 1000 * max(seconds))
        print(f"{stage:<22}{row[0]:>10.1f}{row[1]:>12.1f}{row[2]:>10.1f}")
    total = sum(statistics.median(seconds) for seconds in clock.seconds.values())
    print(f"{'sum of medians':<22}{'':>10}{1000 * total:>12.1f}")


if __name__ == "__main__":
    main()
