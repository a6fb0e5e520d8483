"""One object's whole way through the engine on one device, and whether it answers there as on a CPU.

Owns what the service's loaders give, called in a row in one process: encode, decode, refine, plan, fill,
composite. PNGs, the store and HTTP are not in it.
"""

from __future__ import annotations

import time
from collections import defaultdict

import numpy as np

from benchmarks.report import Goal, Section
from deployments.networks import load_decoder, load_encoder, load_inpainter
from engine.lama.inpaint import composite, plan_removal
from engine.precision_guard import (
    LEAST_MASK_IOU,
    MOST_FILL_DIFFERENCE,
    SHAPES,
    fill_difference,
    mask_iou,
    probe_picture,
)
from engine.refine import refine_object
from engine.types import Device, ObjectPrompt, Precision, RefineOptions
from settings import Settings

RUNS, MOST_MS, FILL_SIDE = 30, 20.0, 512


def whole_path(settings: Settings, runs: int = RUNS) -> Section:
    """Milliseconds of each step, of `runs` jobs on the same picture after one that warms up."""
    encoder, decoder, inpainter = load_encoder(settings), load_decoder(settings), load_inpainter(settings)
    image = probe_picture()
    x, y, _ = SHAPES[0]
    prompt = ObjectPrompt(((float(x), float(y)),), (1,))
    steps: dict[str, list[float]] = defaultdict(list)

    for _ in range(runs + 1):
        clock = [time.perf_counter()]
        (embedding,) = encoder.encoder.encode([image])
        clock.append(time.perf_counter())
        ((decoded,),) = decoder.decoder.decode([(embedding, [prompt])])
        clock.append(time.perf_counter())
        item = refine_object(decoded, prompt, image, decoder.image_size, RefineOptions(), 0)
        clock.append(time.perf_counter())
        plan = plan_removal(image, [item], (FILL_SIDE,), want_each=False)
        fills = inpainter.inpainter.fill(plan.tasks)
        clock.append(time.perf_counter())
        composite(image, [(plan.tasks[0], fills[0], item.hole)])
        clock.append(time.perf_counter())
        for name, seconds in zip(
            ("encode", "decode", "refine", "fill 512 px", "composite"), np.diff(clock), strict=True
        ):
            steps[name].append(1000 * seconds)
        steps["all"].append(1000 * (clock[-1] - clock[0]))
    section = Section("One object's whole path", ("step", "p50 ms", "p95 ms"))
    for name, milliseconds in steps.items():
        p50, p95 = np.percentile(milliseconds[1:], (50, 95))
        section.rows.append((name, float(p50), float(p95)))
    whole = float(np.median(steps["all"][1:]))
    section.goals.append(Goal("one engine path, p50 ms", whole, at_most=MOST_MS))
    described = (encoder.description, inpainter.description)
    section.notes.append(
        "; ".join(f"{one['name']} on {one['device']}, {one['backend']}" for one in described)
    )
    return section


def agreement(settings: Settings) -> Section:
    """The device's answers beside those of fp32 on the CPU, on the picture of the precision guard."""
    exact = settings.model_copy(update={"device": Device.CPU, "precision": Precision.FP32})
    decoder = load_decoder(exact)
    masks = mask_iou(
        load_encoder(exact).encoder, load_encoder(settings).encoder, decoder.decoder, decoder.image_size
    )
    fills = fill_difference(
        load_inpainter(exact).inpainter, load_inpainter(settings).inpainter, settings.inpaint_sizes[0]
    )
    return Section(
        "Agreement with fp32 on the CPU",
        ("what", "value"),
        rows=[("mean IoU of masks", masks), ("mean difference of fills, grey levels of 255", fills)],
        goals=[
            Goal("mean IoU of masks", masks, at_least=LEAST_MASK_IOU),
            Goal("mean difference of fills", fills, at_most=MOST_FILL_DIFFERENCE),
        ],
    )
