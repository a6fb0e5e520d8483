"""What bf16 and 8 bits change on real photos: the same networks in fp32 beside them, in one run.

    python -m benchmarks.accuracy FOLDER [--mobile-sam FILE] [--lama FILE] [--photos 40]

FOLDER holds `segment/index.json` (`image`, `mask`, `click` of each object) and `removal/`, as in an
evaluation set. Prints the overlap of masks from embeddings in bf16 with those from fp32, the difference of
fills inside the hole, and the processor seconds of both. Exit code 1 where a mean is out of bounds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from deployments.networks import load_decoder, load_encoder, load_inpainter
from engine.mobile_sam.segment import upscale_logits
from engine.precision_guard import LEAST_MASK_IOU, MOST_FILL_DIFFERENCE
from engine.types import FillTask, ObjectPrompt, PixelBox, Precision, RgbImage
from settings import Settings


@dataclass(slots=True)
class Compared:
    """Figures of one network in one precision, one a photo; processor seconds in fp32 and in it."""

    figures: list[float] = field(default_factory=list)
    exact_s: float = 0.0
    fast_s: float = 0.0

    def line(self, name: str, worst: float) -> str:
        """A row of the table."""
        mean, median = np.mean(self.figures), np.median(self.figures)
        exact, fast = (seconds / len(self.figures) for seconds in (self.exact_s, self.fast_s))
        return (
            f"| {name} | {len(self.figures)} | {mean:.4f} | {median:.4f} | {worst:.4f} "
            f"| {exact:.2f} | {fast:.2f} | {exact / fast:.2f}x |"
        )


def compare_masks(settings: dict[Precision, Settings], folder: Path, photos: int) -> Compared:
    """IoU of the first mask for each object's click, from embeddings in bf16."""
    exact, fast = (load_encoder(settings[one]).encoder for one in (Precision.FP32, Precision.BF16))
    decoder, seen = load_decoder(settings[Precision.FP32]), Compared()
    objects = json.loads((folder / "index.json").read_text())["objects"]
    for entry in objects[:: max(1, len(objects) // photos)]:
        picture = RgbImage(np.asarray(Image.open(folder / entry["image"]).convert("RGB")))
        prompt = ObjectPrompt(points=((float(entry["click"][0]), float(entry["click"][1])),), labels=(1,))
        masks, seconds = [], []
        for encoder in (exact, fast):
            began = time.process_time()
            (embedding,) = encoder.encode([picture])
            seconds.append(time.process_time() - began)
            ((decoded,),) = decoder.decoder.decode([(embedding, [prompt])])
            logits = decoded.candidates[0].logits
            masks.append(upscale_logits(logits, picture.width, picture.height, decoder.image_size) > 0)
        seen.exact_s += seconds[0]
        seen.fast_s += seconds[1]
        union = np.count_nonzero(masks[0] | masks[1])
        seen.figures.append(np.count_nonzero(masks[0] & masks[1]) / union if union else 1.0)
    return seen


def compare_fills(
    settings: dict[Precision, Settings], folder: Path, photos: int
) -> dict[Precision, Compared]:
    """Mean difference in a random hole of the photo's top left square, grey levels of 255."""
    inpainters = {one: load_inpainter(settings[one]).inpainter for one in settings}
    seen = {one: Compared() for one in settings if one is not Precision.FP32}
    rng, paths = np.random.default_rng(0), sorted(folder.rglob("*.jpg"))
    for path in paths[:: max(1, len(paths) // photos)]:
        picture = np.asarray(Image.open(path).convert("RGB"))
        side = 512 if min(picture.shape[:2]) >= 512 else 256
        if min(picture.shape[:2]) < side:
            continue
        hole = np.zeros((side, side), np.bool_)
        y, x = rng.integers(side // 8, side // 2, 2)
        hole[y : y + side // 3, x : x + side // 4] = True
        task = FillTask(PixelBox(0, 0, side, side), 1.0, np.ascontiguousarray(picture[:side, :side]), hole)
        fills, seconds = {}, {}
        for one, inpainter in inpainters.items():
            began = time.process_time()
            fills[one] = inpainter.fill([task])[0].pixels[hole].astype(np.float32)
            seconds[one] = time.process_time() - began
        for one, compared in seen.items():
            compared.figures.append(float(np.abs(fills[Precision.FP32] - fills[one]).mean()))
            compared.exact_s += seconds[Precision.FP32]
            compared.fast_s += seconds[one]
    return seen


def main(arguments: list[str] | None = None) -> int:
    """Compare, print. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy")
    parser.add_argument("folder", type=Path, help="with segment/ and removal/")
    parser.add_argument("--mobile-sam", type=Path, help="checkpoint; without it the one that would be served")
    parser.add_argument("--lama", type=Path)
    parser.add_argument("--photos", type=int, default=40, help="about so many of each kind")
    options = parser.parse_args(arguments)
    settings = {
        one: Settings(
            precision=one, mobile_sam_checkpoint=options.mobile_sam, lama_checkpoint=options.lama, threads=1
        )
        for one in Precision
        if one is not Precision.AUTO
    }
    print("| against fp32 | photos | mean | median | worst | fp32 CPU s | CPU s | |")
    print("|---|---|---|---|---|---|---|---|")
    masks = compare_masks(settings, options.folder / "segment", options.photos)
    print(masks.line("mask IoU, bf16", min(masks.figures)), flush=True)
    fills = compare_fills(settings, options.folder / "removal", options.photos)
    for one, compared in fills.items():
        print(compared.line(f"fill, grey levels of 255, {one.value}", max(compared.figures)))
    within = np.mean(masks.figures) >= LEAST_MASK_IOU and all(
        np.mean(compared.figures) <= MOST_FILL_DIFFERENCE for compared in fills.values()
    )
    print("within bounds" if within else "out of bounds")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
