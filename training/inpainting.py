"""Train the small inpainting network that is bundled with the package.

    python -m training.inpainting --data DATA --minutes 90 --out engine/bundled/lama.safetensors

Owns the recipe: a LaMa generator that starts from a classical fill (see `engine.lama.shift_fill`)
and learns what to add to it, first colours and strength of detail, then against a patch
discriminator. Runs on a GPU where there is one, else on one CPU thread a process. The state is
kept in `--runs` and continued by the same command; the number of minutes counts over all runs.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Adam
from tqdm import tqdm

from engine.lama.network import LamaConfig, LamaNetwork, Output, Prefill
from training.arithmetic import fast_arithmetic
from training.inpainting_data import Batch, PackedPhotos, draw_batch, pack_photos
from training.inpainting_losses import (
    PatchDiscriminator,
    adversarial_losses,
    colour_loss,
    detail_loss,
    discriminator_loss,
)
from training.inpainting_quality import draw_sheet, judge, load_cases, mean_correction, network_filler

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
    """A stretch of the training; `until` is a share of all minutes."""

    until: float
    crop_px: int
    batch: int
    rate: float
    adversary: float  # weight of the hinge loss; 0 leaves the discriminator out


PHASES = (
    Phase(0.50, 128, 8, 1e-3, 0.0),
    Phase(0.75, 128, 8, 4e-4, 0.0),
    Phase(0.90, 128, 8, 2e-4, 0.02),
    Phase(1.00, 192, 4, 1e-4, 0.02),
)
_COLOUR, _DETAIL, _FEATURES = 1.0, 0.2, 0.1
LAST_SLOWER = 0.05
BETAS = (0.9, 0.99)
_AVERAGING = 0.995  # of the weights that are written, per step


class Trainer:
    """The networks, their optimisers and where the training stands."""

    def __init__(self, photos: PackedPhotos, seed: int, device: torch.device):
        torch.manual_seed(seed)
        self.photos, self.seed, self.device = photos, seed, device
        self.network = LamaNetwork(CONFIG)
        last = [module for module in self.network.modules() if isinstance(module, nn.Conv2d)][-1]
        for parameter in last.parameters():  # start as the classical fill itself: a correction of zero
            nn.init.zeros_(parameter)
        self.average = LamaNetwork(CONFIG).eval()
        self.average.load_state_dict(self.network.state_dict())
        self.discriminator = PatchDiscriminator()
        for module in (self.network, self.average, self.discriminator):
            module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a stub lacks it
        # All inputs of the last layer are positive and there are 49 x width of them: at the others' rate, one
        # step of Adam would shift whole pictures by grey levels at once, and nothing is learned.
        body = [p for p in self.network.parameters() if all(p is not q for q in last.parameters())]
        groups = [{"params": body, "slower": 1.0}, {"params": list(last.parameters()), "slower": LAST_SLOWER}]
        self.optimizer = Adam(groups, betas=BETAS)
        self.adversary = Adam(self.discriminator.parameters(), lr=4e-4, betas=(0.0, 0.99))
        self.step, self.elapsed_s = 0, 0.0

    def learn(self, phase: Phase) -> dict[str, float]:
        """One step; the losses it saw."""
        rng = np.random.default_rng([self.seed, self.step])
        batch = draw_batch(self.photos, phase.crop_px, phase.batch, rng)
        batch = Batch(batch.picture.to(self.device), batch.hole.to(self.device))
        self.network.train()
        with fast_arithmetic(self.device.type):
            start = self.network.prefill(batch.picture, batch.hole)
            answer = self.network.predict(start, batch.hole).float()
        fill = torch.where(batch.hole > 0, answer, batch.picture)
        losses = {
            "colour": _COLOUR * colour_loss(fill, batch.picture, batch.hole, start),
            "detail": _DETAIL * detail_loss(fill, batch.picture, batch.hole),
        }
        if phase.adversary:
            losses |= self._against_the_adversary(fill, batch, phase.adversary)
        total = torch.stack([value for name, value in losses.items() if name != "discriminator"]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]  # torch's own
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = group["slower"] * phase.rate * min(1.0, (self.step + 1) / 50)
        self.optimizer.step()
        self._average_weights()
        self.step += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    def _against_the_adversary(self, fill: Tensor, batch: Batch, weight: float) -> dict[str, Tensor]:
        with fast_arithmetic(self.device.type):
            verdict = discriminator_loss(self.discriminator, fill, batch.picture, batch.hole).float()
        self.adversary.zero_grad(set_to_none=True)
        verdict.backward()  # type: ignore[no-untyped-call]  # torch's own
        self.adversary.step()
        self.discriminator.requires_grad_(False)
        with fast_arithmetic(self.device.type):
            losses = adversarial_losses(self.discriminator, fill, batch.picture, batch.hole)
        self.discriminator.requires_grad_(True)
        return {
            "realism": weight * losses.realism.float(),
            "features": _FEATURES * losses.features.float(),
            "discriminator": verdict,
        }

    @torch.no_grad()
    def _average_weights(self) -> None:
        share = min(_AVERAGING, (self.step + 1) / (self.step + 10))
        for mean, value in zip(
            self.average.state_dict().values(), self.network.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - share)
            else:
                mean.copy_(value)

    def save(self, file: Path) -> None:
        """Keep everything that is needed to go on from here."""
        parts = {name: getattr(self, name).state_dict() for name in self._parts}
        temporary = file.with_suffix(".partial")
        torch.save(parts | {"step": self.step, "elapsed_s": self.elapsed_s}, temporary)
        temporary.replace(file)

    def restore(self, file: Path) -> None:
        """Go on from what `save` kept."""
        state = torch.load(file, map_location=self.device, weights_only=True)
        for name in self._parts:
            getattr(self, name).load_state_dict(state[name])
        self.step, self.elapsed_s = state["step"], state["elapsed_s"]

    _parts = ("network", "average", "discriminator", "optimizer", "adversary")


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


def train(options: argparse.Namespace) -> None:
    """Train until the minutes are used up, then write the checkpoint."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    runs: Path = options.runs
    runs.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(pack_photos(options.data, runs / "cache"), options.seed, device)
    state = runs / "state.pt"
    if state.exists():
        trainer.restore(state)
    cases = load_cases(options.data / "eval/removal")
    budget_s = 60.0 * options.minutes
    next_evaluation_s = trainer.elapsed_s
    bar = tqdm(total=round(budget_s), initial=round(trainer.elapsed_s), unit="s", desc="train")
    seen: list[dict[str, float]] = []
    with (runs / "curve.jsonl").open("a") as curve:
        while trainer.elapsed_s < budget_s:
            began = time.monotonic()
            phase = next(phase for phase in PHASES if trainer.elapsed_s < phase.until * budget_s)
            seen.append(trainer.learn(phase))
            trainer.elapsed_s += time.monotonic() - began
            bar.update(round(trainer.elapsed_s) - bar.n)
            is_last = trainer.elapsed_s >= budget_s
            if trainer.elapsed_s >= next_evaluation_s or is_last:
                table, answers = judge(cases, network_filler(trainer.average))
                draw_sheet(cases[::3], answers[::3], runs / f"sheet_{trainer.step:06d}.png")
                losses = {name: float(np.mean([s[name] for s in seen if name in s])) for name in seen[-1]}
                quality = {name: asdict(figures) for name, figures in table.items()}
                line = {"step": trainer.step, "elapsed_s": round(trainer.elapsed_s), **losses, **quality}
                curve.write(json.dumps(line) + "\n")
                curve.flush()
                tqdm.write(json.dumps(line))
                trainer.save(state)
                correction = mean_correction(trainer.average, cases)
                write_checkpoint(trainer.average, runs / "latest.safetensors", trainer.step, correction)
                next_evaluation_s, seen = trainer.elapsed_s + 60 * options.evaluate_every, []
    write_checkpoint(trainer.average, options.out, trainer.step, mean_correction(trainer.average, cases))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/removal/")
    parser.add_argument("--minutes", type=float, default=90, help="of training, over all runs (default: 90)")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint to write, *.safetensors")
    parser.add_argument("--runs", type=Path, default=Path("runs/inpainting"), help="state, curve and sheets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate-every", type=float, default=5, help="minutes (default: 5)")
    return parser.parse_args()


if __name__ == "__main__":
    train(_options())
