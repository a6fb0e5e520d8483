"""Trains the bundled MobileSAM from scratch.

    python -m training.segmentation --data DATA --minutes 60 --out engine/bundled/mobile_sam.safetensors

One command, resumable: what it needs to go on is in `--run` (ignored by git), written at every
evaluation; the minutes count training alone. The curve is `curve.jsonl` there, predictions `sheet.png`.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from training.segmentation_data import SegmentationBatch, SegmentationSampler, correction
from training.segmentation_losses import segmentation_loss
from training.segmentation_model import BUNDLED, MobileSamPair, save_checkpoint
from training.segmentation_pack import open_pack, pack_photos
from training.segmentation_scores import draw_sheet, mean_scores, segment_held_out

# Share of the time until which pictures have that side: small ones teach most per second at first.
GROWTH = ((0.4, 128), (0.75, 192), (1.0, 256))
PEAK_RATE, WEIGHT_DECAY, WARM_UP_STEPS = 1.2e-3, 0.04, 150
LONGEST_MEMORY = 0.998  # of the averaged weights


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    data: Path
    minutes: float
    out: Path
    run: Path
    pictures: int
    objects: int
    threads: int
    evaluate_minutes: float
    seed: int


class Trainer:
    """A network, its average, its optimiser, and how far they are."""

    def __init__(self, options: Options) -> None:
        torch.manual_seed(options.seed)
        self.options = options
        self.pair = MobileSamPair(BUNDLED)
        self.average = copy.deepcopy(self.pair).eval()
        decayed = [value for value in self.pair.parameters() if value.ndim > 1]
        plain = [value for value in self.pair.parameters() if value.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}],
            lr=PEAK_RATE,
            betas=(0.9, 0.98),
        )
        self.step = 0
        self.seconds = 0.0

    @property
    def share(self) -> float:
        """How much of the time is used, 0..1."""
        return min(self.seconds / (60 * self.options.minutes), 1.0)

    @property
    def side(self) -> int:
        """Side of the pictures now, pixels."""
        return next(side for until, side in GROWTH if self.share <= until)

    def train_step(self, batch: SegmentationBatch) -> float:
        """One step on one batch; returns its loss."""
        rate = PEAK_RATE * min((self.step + 1) / WARM_UP_STEPS, 1) * (0.5 + 0.5 * np.cos(np.pi * self.share))
        for group in self.optimiser.param_groups:
            group["lr"] = float(max(rate, 1e-6))
        # Plain products: the fused attention's backward pass is three times slower at these widths.
        with sdpa_kernel(SDPBackend.MATH):
            loss = self._loss(batch)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.pair.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self._remember()
        return loss.item()

    def save(self) -> None:
        """Write all that is needed to go on, whole or not at all."""
        partial = self.options.run / "state.partial"
        torch.save(
            {
                "pair": self.pair.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
            },
            partial,
        )
        partial.rename(self.options.run / "state.pt")

    def resume(self) -> None:
        """Go on where the last run in this folder stopped, if there was one."""
        path = self.options.run / "state.pt"
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.pair.load_state_dict(state["pair"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.seconds = state["step"], state["seconds"]

    def _loss(self, batch: SegmentationBatch) -> Tensor:
        """Both rounds: the prompts, then the same with one tap where the first answer was wrong."""
        points, labels = batch.points.clone(), batch.labels.clone()
        rows = torch.arange(len(points))
        with torch.autocast("cpu", torch.bfloat16):
            pixels = batch.pixels.contiguous(memory_format=torch.channels_last)
            embeddings = self.pair.encoder(pixels)
            embeddings = embeddings.repeat_interleave(len(points) // len(pixels), dim=0)
            logits, ious = self.pair.decoder(embeddings, points[:, :3], labels[:, :3])
        first = segmentation_loss(logits.float(), ious.float(), batch.targets, batch.ambiguous)
        used = torch.where(batch.ambiguous, 1 + ious[:, 1:].argmax(dim=1), 0)
        masks = (logits[rows, used] > 0).numpy()
        objects = (batch.targets > 0.5).numpy()
        for row in range(len(points)):
            missed, extra = objects[row] & ~masks[row], masks[row] & ~objects[row]
            label = int(np.count_nonzero(missed) >= np.count_nonzero(extra))
            x, y, _ = correction(missed if label else extra, label)
            slot = int(torch.nonzero(labels[row] == -2)[0])
            points[row, slot] = torch.tensor([x, y])
            labels[row, slot] = label
        with torch.autocast("cpu", torch.bfloat16):
            logits, ious = self.pair.decoder(embeddings, points, labels)
        never = torch.zeros_like(batch.ambiguous)
        second = segmentation_loss(logits.float(), ious.float(), batch.targets, never)
        return first + 0.5 * second

    @torch.no_grad()
    def _remember(self) -> None:
        keep = min(LONGEST_MEMORY, (1 + self.step) / (10 + self.step))
        current = self.pair.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - keep)
            else:
                value.copy_(current[name])


def evaluate(trainer: Trainer, losses: list[float]) -> dict[str, float]:
    """Score the averaged weights, log, draw, and save everything."""
    run = trainer.options.run
    objects = segment_held_out(
        trainer.average.encoder,
        trainer.average.decoder,
        trainer.options.data / "eval" / "segment",
        trainer.side,
    )
    scores = mean_scores(objects)
    line = {
        "minutes": round(trainer.seconds / 60, 2),
        "step": trainer.step,
        "side": trainer.side,
        "loss": round(float(np.mean(losses)), 4) if losses else None,
        **scores,
    }
    with (run / "curve.jsonl").open("a") as curve:
        curve.write(json.dumps(line) + "\n")
    draw_sheet(objects, run / "sheet.png")
    save_checkpoint(trainer.average, trainer.side, run / "latest.safetensors", notes(trainer))
    trainer.save()
    return scores


def notes(trainer: Trainer) -> dict[str, str]:
    """What the checkpoint says of itself."""
    return {
        "name": "MobileSAM, bundled small checkpoint",
        "architecture": "MobileSAM: TinyViT 24/64/128/160, decoder width 128",
        "training": (
            f"from scratch: {trainer.step} steps, {trainer.seconds / 60:.0f} minutes on "
            f"{trainer.options.threads} CPU thread(s); averaged weights; 2,657 photographs with masks "
            "(ECSSD, BSDS500, Clothing Co-Parsing, Penn-Fudan, humans, cats), most of them for research use"
        ),
    }


def train(options: Options) -> None:
    """Train until the minutes are used, then write the checkpoint."""
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    options.run.mkdir(parents=True, exist_ok=True)
    pack = options.run / "photos.npz"
    if not pack.exists():
        pack_photos(options.data, pack)
    trainer = Trainer(options)
    trainer.resume()
    sampler = SegmentationSampler(open_pack(pack), options.seed + trainer.step)
    losses: list[float] = []
    evaluated = trainer.seconds
    with tqdm(total=round(60 * options.minutes), initial=round(trainer.seconds), unit="s") as bar:
        while trainer.share < 1:
            started = time.monotonic()
            losses.append(trainer.train_step(sampler.batch(options.pictures, options.objects, trainer.side)))
            trainer.seconds += time.monotonic() - started
            bar.update(min(round(trainer.seconds), bar.total) - bar.n)
            bar.set_postfix(step=trainer.step, side=trainer.side, loss=f"{np.mean(losses[-50:]):.3f}")
            if trainer.seconds - evaluated >= 60 * options.evaluate_minutes or trainer.share >= 1:
                scores = evaluate(trainer, losses)
                tqdm.write(f"{trainer.seconds / 60:.1f} min, step {trainer.step}: {scores}")
                losses, evaluated = [], trainer.seconds
    save_checkpoint(trainer.average, trainer.side, options.out, notes(trainer))


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/segment/")
    parser.add_argument(
        "--minutes", type=float, required=True, help="of training in all, resumed runs included"
    )
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint to write at the end")
    parser.add_argument("--run", type=Path, default=Path("runs/segmentation"), help="to resume from")
    parser.add_argument("--pictures", type=int, default=12, help="per step")
    parser.add_argument("--objects", type=int, default=4, help="prompts per picture")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--evaluate-minutes", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=0)
    train(Options(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
