"""Each network's speed as a share of what this machine's cores can do, measured in the same run.

Owns the counting of operations (of the network as written in torch, by its products and convolutions;
Fourier transforms are not counted) and the timing as the service executes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.machine import matrix_peak
from benchmarks.operation_times import counted_operations
from benchmarks.report import Section
from benchmarks.rivals import CACHE, Checkpoints

RUNS, LONGEST_S = 7, 8.0


def measure_networks(checkpoints: Checkpoints, chosen: Mapping[str, str]) -> Section:
    """The table, with the service's settings `chosen`.

    Loads every network of the service in this process: call it in one of its own.
    """
    import numpy as np
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from deployments.networks import load_decoder, load_encoder, load_inpainter
    from engine.checkpoint_formats import read_tensors
    from engine.lama.network import LamaNetwork
    from engine.mobile_sam.network import MobileSamDecoder, MobileSamEncoder
    from engine.types import FillTask, ObjectPrompt, PixelBox, RgbImage
    from settings import read_settings

    def count(module: torch.nn.Module, *inputs: torch.Tensor) -> float:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            module(*inputs)
        return float(counter.get_total_flops()) / 1e9

    settings = read_settings(
        {
            "MOBILE_SAM_CHECKPOINT": str(checkpoints.mobile_sam),
            "LAMA_CHECKPOINT": str(checkpoints.lama),
            "CHECKPOINT_DOWNLOAD": False,
            "CACHE_DIR": str(CACHE),
            **chosen,
        }
    )
    peak = matrix_peak(settings.threads)
    section = Section(
        "Networks against the matrix-product peak",
        (
            "network",
            "runs in",
            "GFLOP",
            "ms",
            "GFLOP/s",
            "peak GFLOP/s",
            "share",
            "time by kind of operation",
        ),
        notes=[
            f"Peak: a 2048 x 2048 product in torch on {torch.get_num_threads()} threads: "
            f"{peak['fp32']:.0f} GFLOP/s fp32, {peak['bf16']:.0f} bf16, {peak['int8']:.0f} int8. "
            f"Milliseconds: shortest of {RUNS} runs, with the picture's way to and from the network's "
            "numbers. In int8 narrow convolutions and products, a quarter of LaMa's work, stay in fp32; in "
            "int8+bf16 they and the last sixth of the wide convolutions, more than a third, are in bf16. "
            "Fourier transforms are not counted as work."
        ],
        values={"peak": peak},
    )

    def row(name: str, described: dict[str, str], gflop: float, run: Callable[[], Any]) -> None:
        seconds = _shortest(run)
        # Told by networks that know another one than fp32.
        precision = described.get("precision", "fp32")
        speed, most = gflop / seconds, peak[precision.partition("+")[0]]
        cells = (name, f"{described['backend']}, {precision}", gflop, 1000 * seconds, speed, most)
        section.rows.append((*cells, f"{speed / most:.0%}", times.shares_by_kind()))
        section.values[name] = {"gflop": gflop, "seconds": seconds, "precision": precision}

    with counted_operations() as times:
        noise = np.random.default_rng(0)
        picture = RgbImage(noise.integers(0, 256, (1024, 1024, 3), np.uint8))
        tensors, metadata = read_tensors(checkpoints.mobile_sam)
        encoder = load_encoder(settings)
        gflop = count(MobileSamEncoder.from_tensors(tensors, metadata), torch.zeros(1, 3, 1024, 1024))
        row("encoder, 1024 px", encoder.description, gflop, partial(encoder.encoder.encode, [picture]))
        (embedding,) = encoder.encoder.encode([picture])
        del encoder
        decoder = load_decoder(settings)
        prompt = ObjectPrompt(points=((400.0, 300.0),), labels=(1,))
        example = (torch.zeros(1, 256, 64, 64), torch.ones(1, 2, 2), torch.ones(1, 2, dtype=torch.int64))
        gflop = count(MobileSamDecoder.from_tensors(tensors, metadata), *example)
        row(
            "decoder, 1 object",
            decoder.description,
            gflop,
            partial(decoder.decoder.decode, [(embedding, [prompt])]),
        )
        del decoder
        lama = LamaNetwork.load(*read_tensors(checkpoints.lama))
        inpainter = load_inpainter(settings)
        for side in sorted({settings.inpaint_sizes[0], settings.inpaint_sizes[-1]}):
            hole = np.zeros((side, side), np.bool_)
            hole[side // 3 : side // 2, side // 3 : side // 2] = True
            task = FillTask(PixelBox(0, 0, side, side), 1.0, picture.pixels[:side, :side], hole)
            gflop = count(lama, torch.zeros(1, 3, side, side), torch.zeros(1, 1, side, side))
            row(
                f"LaMa, {side} px",
                inpainter.description,
                gflop,
                partial(inpainter.inpainter.fill, [task]),
            )
    return section


def _shortest(run: Callable[[], Any]) -> float:
    run()
    best, ends = float("inf"), time.monotonic() + LONGEST_S
    for _ in range(RUNS):
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
        if time.monotonic() > ends:
            break
    return best
