"""Train the small inpainting network that is bundled with the package.

    python -m training.inpainting --data DATA --out engine/bundled/lama.safetensors

Owns the recipe: a LaMa generator that starts from a classical fill (see `engine.lama.shift_fill`) and learns
what to add to it, on crops whose fills are computed once and kept. Runs on a GPU where there is one, else on
one CPU thread. The state is kept in `--runs` and continued by the same command.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim import Adam, Muon
from tqdm import tqdm

from engine.lama.network import LamaConfig, LamaNetwork, Output, Prefill
from training.allocator import keep_freed_memory
from training.inpainting_data import find_photos
from training.inpainting_examples import Batch, Examples, prepare_examples
from training.inpainting_losses import error_share, imitation_error, lost_detail
from training.inpainting_model import SmoothCorrection
from training.inpainting_quality import (
    Case,
    draw_sheet,
    gain,
    judge,
    load_cases,
    mean_correction,
    network_filler,
)

CONFIG = LamaConfig(
    width=16,
    downsamplings=3,
    blocks=5,
    local_channels=32,
    global_channels=96,
    prefill=Prefill.SHIFT,
    output=Output.RESIDUAL,
    good_size=512,
)
PROVENANCE = (
    "LaMa generator at a small width that corrects a classical fill (smooth colours, structure and detail "
    "copied from the same picture), trained by this project from scratch on photographs of public "
    "segmentation data sets, most licensed for research; no released weights were used"
)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the training; `until` is a share of all steps."""

    until: float
    crop_px: int
    batch: int
    examples: int  # crops that are prepared for it
    imitation: float  # weight of `imitation_error`


# First a correction that is known, then the truth. Small crops teach most per second; the service's are of
# 256 px and more, and so are the last ones here.
PHASES = (
    Phase(0.1, 128, 16, 8000, 1.0),
    Phase(0.8, 128, 16, 8000, 0.0),
    Phase(1.0, 256, 6, 1000, 0.0),
)
HELD_OUT = 200  # crops, of the last phase's size
_RATE, _WARM_UP_STEPS = 3e-3, 50
_MIX_SLOWER = 0.5  # the last layer decides over whole pictures at once
_DETAIL = 2.0  # weight of `lost_detail`
_AVERAGING = 0.998  # of the weights that are written, per step


class Trainer:
    """The network, its average, its optimisers and where the training stands."""

    def __init__(self, steps: int, seed: int, device: torch.device):
        torch.manual_seed(seed)
        self.steps, self.seed, self.device = steps, seed, device
        self.model = SmoothCorrection(CONFIG)
        self.average = SmoothCorrection(CONFIG).eval()
        self.average.load_state_dict(self.model.state_dict())
        for module in (self.model, self.average):
            module.to(device)
        kernels = self._kernels = self.model.kernels()
        # Muon takes matrices: the same memory as the kernels, seen as one row for each channel made.
        self._matrices = [nn.Parameter(kernel.detach().flatten(1)) for kernel in kernels]
        taken = {id(parameter) for parameter in (*kernels, *self.model.mix.parameters())}
        plain = [p for p in self.model.parameters() if p.requires_grad and id(p) not in taken]
        self.muon = Muon(self._matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
        self.adam = Adam(
            [
                {"params": plain, "slower": 1.0},
                {"params": self.model.mix.parameters(), "slower": _MIX_SLOWER},
            ],
            betas=(0.9, 0.99),
        )
        self.step = 0

    def learn(self, examples: Examples, phase: Phase) -> float:
        """One step; its loss: the error as a share of the classical fill's, and that of imitation."""
        rng = np.random.default_rng([self.seed, self.step])
        batch = examples.batch(rng.choice(len(examples), phase.batch, replace=False), rng)
        batch = Batch(*(x.to(self.device) for x in (batch.picture, batch.start, batch.hole)))
        self.model.train()
        fill = self.model(batch.start, batch.hole)
        losses = error_share(fill, batch.picture, batch.hole, batch.start)
        loss = (losses + _DETAIL * lost_detail(fill, batch.start, batch.hole)).mean()
        if phase.imitation:
            loss = loss + phase.imitation * imitation_error(fill, batch.start, batch.hole)
        self.model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for matrix, kernel in zip(self._matrices, self._kernels, strict=True):
            matrix.grad = None if kernel.grad is None else kernel.grad.flatten(1)
        rate = _RATE * min(1.0, (self.step + 1) / _WARM_UP_STEPS)
        rate *= 0.5 + 0.5 * math.cos(math.pi * self.step / self.steps)
        for optimizer in (self.muon, self.adam):
            for group in optimizer.param_groups:
                group["lr"] = group.get("slower", 1.0) * rate
            optimizer.step()
        self._average_weights()
        self.step += 1
        return float(loss.detach())

    @torch.no_grad()
    def _average_weights(self) -> None:
        share = min(_AVERAGING, (self.step + 1) / (self.step + 10))
        for mean, value in zip(
            self.average.state_dict().values(), self.model.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - share)
            else:
                mean.copy_(value)

    def save(self, file: Path) -> None:
        """Keep everything that is needed to go on from here."""
        parts = {name: getattr(self, name).state_dict() for name in self._parts}
        temporary = file.with_suffix(".partial")
        torch.save(parts | {"step": self.step}, temporary)
        temporary.replace(file)

    def restore(self, file: Path) -> None:
        """Go on from what `save` kept."""
        state = torch.load(file, map_location=self.device, weights_only=True)
        for name in self._parts:
            getattr(self, name).load_state_dict(state[name])
        self.step = state["step"]

    _parts = ("model", "average", "muon", "adam")


def write_checkpoint(network: LamaNetwork, file: Path, steps: int, correction: float) -> None:
    """The network in half precision, with what its shapes do not tell in the metadata.

    `correction` is the mean change that the network makes to the classical fill, in grey levels of 255: so
    that nobody takes the one for the other's merit.
    """
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in network.released_state_dict().items()
    }
    config = network.config
    metadata = {
        "name": f"tapcut-lama-w{config.width}-b{config.blocks}",
        "prefill": config.prefill.value,
        "output": config.output.value,
        "good_size": str(config.good_size),
        "config": json.dumps(asdict(config)),
        "provenance": f"{PROVENANCE}; {steps} steps",
        "mean_correction_grey_levels": f"{correction:.2f}",
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".partial")
    save_file(tensors, temporary, metadata)
    temporary.chmod(0o644)  # safetensors makes files that only their owner can read
    temporary.replace(file)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a network is measured on while it is trained."""

    cases: list[Case]
    held_out: Examples
    runs: Path  # where the curve, the sheets and the latest checkpoint are written

    def write(self, trainer: Trainer, losses: list[float]) -> None:
        """Append the figures to the curve, draw a sheet, keep the state and write the checkpoint."""
        network = trainer.average.network()
        table, answers = judge(self.cases, network_filler(network))
        draw_sheet(self.cases[::3], answers[::3], self.runs / f"sheet_{trainer.step:06d}.png")
        quality = {name: asdict(figures) for name, figures in table.items()}
        own = {"loss": float(np.mean(losses)), "held_out": asdict(gain(network, self.held_out))}
        line = json.dumps({"step": trainer.step, **own, **quality})
        with (self.runs / "curve.jsonl").open("a") as curve:
            curve.write(line + "\n")
        tqdm.write(line)
        trainer.save(self.runs / "state.pt")
        correction = mean_correction(network, self.cases)
        write_checkpoint(network, self.runs / "latest.safetensors", trainer.step, correction)


def train(options: argparse.Namespace) -> None:
    """Train for the given number of steps, then write the checkpoint."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    runs: Path = options.runs
    runs.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(options.steps, options.seed, device)
    if (runs / "state.pt").exists():
        trainer.restore(runs / "state.pt")
    photos, prefill = find_photos(options.data), LamaNetwork(CONFIG).prefill

    def prepared(which: str, size: int, count: int) -> Examples:
        chosen = photos.learned() if which == "learned" else photos.held_out()
        return prepare_examples(chosen, prefill, size, count, options.seed, runs / "examples" / which)

    evaluation = Evaluation(
        load_cases(options.data / "eval/removal"), prepared("held_out", PHASES[-1].crop_px, HELD_OUT), runs
    )
    losses: list[float] = []
    bar = tqdm(total=trainer.steps, initial=trainer.step, unit="step", desc="train")
    for phase in PHASES:
        if trainer.step >= phase.until * trainer.steps:
            continue
        examples = prepared("learned", phase.crop_px, phase.examples)
        while trainer.step < phase.until * trainer.steps:
            losses.append(trainer.learn(examples, phase))
            bar.update()
            if trainer.step % options.evaluate_every == 0 or trainer.step == trainer.steps:
                evaluation.write(trainer, losses)
                losses = []
    network = trainer.average.network()
    write_checkpoint(network, options.out, trainer.step, mean_correction(network, evaluation.cases))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/removal/")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint to write, *.safetensors")
    parser.add_argument("--runs", type=Path, default=Path("runs/inpainting"), help="state, curve and sheets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate-every", type=int, default=500, help="steps (default: 500)")
    return parser.parse_args()


def main() -> None:
    """Read the command line and train."""
    options = _options()
    keep_freed_memory()
    train(options)


if __name__ == "__main__":
    main()
