"""Trains the bundled MobileSAM.

    python -m training.segmentation --data DATA --out first.safetensors
    python -m training.segmentation --data DATA --start first.safetensors --run runs/onward --out OUT

From scratch, then, with `--start`, onward from those weights on larger pictures. Resumable: what it needs to
go on is in `--run` (ignored by git), written at every evaluation. The curve is `curve.jsonl` there,
predictions `sheet.png`. `--processes` of one thread each are faster than one process of as many threads; the
pictures of a step are `--pictures` for each of them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.distributed as together
from torch.multiprocessing.spawn import spawn
from tqdm import tqdm

from engine.checkpoint_formats import read_tensors
from training.allocator import keep_freed_memory
from training.segmentation_data import SegmentationSampler
from training.segmentation_model import save_checkpoint
from training.segmentation_pack import open_pack, pack_photos
from training.segmentation_scores import draw_sheet, mean_scores, segment_held_out
from training.segmentation_trainer import FROM_SCRATCH, ONWARD, Course, Trainer


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    data: Path
    start: Path | None
    steps: int | None
    out: Path
    run: Path
    pictures: int
    objects: int
    processes: int
    threads: int
    evaluate_steps: int
    seed: int | None

    @property
    def course(self) -> Course:
        """The usual one, but for what was asked for."""
        usual = FROM_SCRATCH if self.start is None else ONWARD
        return replace(
            usual,
            steps=usual.steps if self.steps is None else self.steps,
            seed=usual.seed if self.seed is None else self.seed,
        )

    @property
    def state(self) -> Path:
        """What a later run goes on from."""
        return self.run / "state.pt"


def evaluate(options: Options, trainer: Trainer, losses: list[float]) -> dict[str, float]:
    """Score the averaged weights, log, draw, and save everything."""
    objects = segment_held_out(
        trainer.average.encoder, trainer.average.decoder, options.data / "eval" / "segment", trainer.side
    )
    scores = mean_scores(objects)
    line = {
        "minutes": round(trainer.seconds / 60, 2),
        "step": trainer.step,
        "side": trainer.side,
        "loss": round(float(np.mean(losses)), 4) if losses else None,
        **scores,
    }
    with (options.run / "curve.jsonl").open("a") as curve:
        curve.write(json.dumps(line) + "\n")
    draw_sheet(objects, options.run / "sheet.png")
    save_checkpoint(
        trainer.average, trainer.side, options.run / "latest.safetensors", notes(options, trainer)
    )
    trainer.save(options.state)
    return scores


def notes(options: Options, trainer: Trainer) -> dict[str, str]:
    """What the checkpoint says of itself."""
    history = (
        "from scratch" if options.start is None else f"{read_tensors(options.start)[1]['training']}; onward"
    )
    return {
        "name": "MobileSAM, bundled small checkpoint",
        "architecture": "MobileSAM: TinyViT 24/64/128/160, decoder width 128",
        "training": (
            f"{history}: {trainer.step} steps of {options.pictures * options.processes} pictures up to "
            f"{trainer.side} px, {trainer.seconds / 60:.0f} minutes on "
            f"{options.threads * options.processes} CPU thread(s)"
        ),
        "photographs": (
            "averaged weights; drawn scenes and 2,657 photographs with masks "
            "(ECSSD, BSDS500, Clothing Co-Parsing, Penn-Fudan, humans, cats), most of them for research use"
        ),
    }


def train(rank: int, options: Options) -> None:
    """Train until the steps are done, as one of `options.processes`; the first scores, saves and writes."""
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    first = rank == 0
    if options.processes > 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        meeting = f"file://{(options.run / 'meeting').resolve()}"
        together.init_process_group("gloo", init_method=meeting, rank=rank, world_size=options.processes)
    course = options.course
    trainer = Trainer(course, options.start)
    trainer.resume(options.state)
    seed = np.random.SeedSequence([course.seed, rank, trainer.step])
    sampler = SegmentationSampler(open_pack(options.run / "photos.npz"), seed)
    losses: list[float] = []
    with tqdm(total=course.steps, initial=trainer.step, unit="step", disable=not first) as bar:
        while trainer.share < 1:
            started = time.monotonic()
            losses.append(trainer.train_step(sampler.batch(options.pictures, options.objects, trainer.side)))
            trainer.seconds += time.monotonic() - started
            bar.update()
            bar.set_postfix(side=trainer.side, loss=f"{np.mean(losses[-50:]):.3f}")
            if first and (trainer.step % options.evaluate_steps == 0 or trainer.share >= 1):
                scores = evaluate(options, trainer, losses)
                tqdm.write(f"{trainer.seconds / 60:.1f} min, step {trainer.step}: {scores}")
                losses = []
    if first:
        save_checkpoint(trainer.average, trainer.side, options.out, notes(options, trainer))
    if options.processes > 1:
        together.destroy_process_group()


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/segment/")
    parser.add_argument("--start", type=Path, help="go onward from this checkpoint's weights")
    parser.add_argument("--steps", type=int, help="in all, those of resumed runs included")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint to write at the end")
    parser.add_argument("--run", type=Path, default=Path("runs/segmentation"), help="to resume from")
    parser.add_argument("--pictures", type=int, default=12, help="per step and process")
    parser.add_argument("--objects", type=int, default=4, help="prompts per picture")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="that train together")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--evaluate-steps", type=int, default=300, help="between two evaluations")
    parser.add_argument("--seed", type=int, help="of all that is drawn")
    options = Options(**vars(parser.parse_args()))
    keep_freed_memory()
    options.run.mkdir(parents=True, exist_ok=True)
    (options.run / "meeting").unlink(missing_ok=True)
    if not (options.run / "photos.npz").exists():
        pack_photos(options.data, options.run / "photos.npz")
    if options.processes == 1:
        train(0, options)
    else:
        # Whoever ends this process ends those that it started, too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("training was ended; the same command resumes it"))
        spawn(train, (options,), options.processes, daemon=True)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
