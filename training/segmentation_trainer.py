"""One training state of the bundled MobileSAM, and a step of it.

Owns the network, its averaged weights, its optimisers, the course of rate and picture size over the steps,
and what is written to go on later. Several processes may hold one state each: they average their gradients,
so that their networks stay the same.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as together
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from training.arithmetic import fast_arithmetic
from training.segmentation_data import SegmentationBatch, correction
from training.segmentation_losses import segmentation_loss
from training.segmentation_model import BUNDLED, MobileSamPair

WEIGHT_DECAY, WARM_UP_STEPS = 0.04, 150
LONGEST_MEMORY = 0.998  # of the averaged weights


@dataclass(frozen=True, slots=True)
class Course:
    """How to train: `steps` in all, the seed of everything that is drawn, the highest rate, and the pictures.

    `growth`: shares of the steps until which pictures have that side, pixels.
    """

    steps: int
    seed: int
    growth: tuple[tuple[float, int], ...] = ((0.4, 128), (0.65, 192), (0.82, 256), (1.0, 320))
    peak_rate: float = 1.2e-3


# Small pictures teach most per second at first; who has seen them learns outlines from large ones.
FROM_SCRATCH = Course(3900, 0)
ONWARD = Course(1000, 1, ((0.35, 256), (1.0, 320)), 6e-4)


class Trainer:
    """A network, its average, its optimisers, and how far they are."""

    def __init__(self, course: Course, start: Path | None = None) -> None:
        """Begin from random weights, or from those of the checkpoint `start`."""
        torch.manual_seed(course.seed)
        self._course = course
        self.pair = MobileSamPair(BUNDLED)
        if start is not None:
            self.pair.take_weights(start)
        self.average = copy.deepcopy(self.pair).eval()
        layers = [layer.weight for layer in self.pair.modules() if isinstance(layer, nn.Linear)]
        of_layers = {id(value) for value in layers}
        others = [value for value in self.pair.parameters() if id(value) not in of_layers]
        kernels = [value for value in others if value.ndim > 1]
        plain = [value for value in others if value.ndim <= 1]
        self.optimisers: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(layers, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(
                [{"params": kernels, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}],
                betas=(0.9, 0.98),
            ),
        )
        self.step = 0
        self.seconds = 0.0

    @property
    def share(self) -> float:
        """How much of the training is done, 0..1."""
        return min(self.step / self._course.steps, 1.0)

    @property
    def side(self) -> int:
        """Side of the pictures now, pixels."""
        return next(side for until, side in self._course.growth if self.share <= until)

    def train_step(self, batch: SegmentationBatch) -> float:
        """One step on one batch; returns its loss."""
        rate = self._course.peak_rate * min((self.step + 1) / WARM_UP_STEPS, 1)
        rate *= 0.5 + 0.5 * np.cos(np.pi * self.share)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = float(max(rate, 1e-6))
        # Plain products: the fused attention's backward pass is three times slower at these widths.
        with sdpa_kernel(SDPBackend.MATH):
            loss = self._loss(batch)
            self.pair.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        self._average_gradients()
        torch.nn.utils.clip_grad_norm_(self.pair.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        self._remember()
        return loss.item()

    def save(self, path: Path) -> None:
        """Write all that is needed to go on, whole or not at all."""
        partial = path.with_suffix(".partial")
        torch.save(
            {
                "pair": self.pair.state_dict(),
                "average": self.average.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
                "step": self.step,
                "seconds": self.seconds,
            },
            partial,
        )
        partial.rename(path)

    def resume(self, path: Path) -> None:
        """Go on where the run stopped that wrote `path`, if there was one."""
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.pair.load_state_dict(state["pair"])
            self.average.load_state_dict(state["average"])
            for optimiser, told in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(told)
            self.step, self.seconds = state["step"], state["seconds"]

    def _average_gradients(self) -> None:
        if not together.is_initialized():
            return
        gradients = [value.grad for value in self.pair.parameters() if value.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        together.all_reduce(flat)
        flat /= together.get_world_size()
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def _loss(self, batch: SegmentationBatch) -> Tensor:
        """Both rounds: the prompts, then the same with one tap where the first answer was wrong."""
        points, labels = batch.points.clone(), batch.labels.clone()
        rows = torch.arange(len(points))
        with fast_arithmetic("cpu"):
            pixels = batch.pixels.contiguous(memory_format=torch.channels_last)
            embeddings = self.pair.encoder(pixels)
            embeddings = embeddings.repeat_interleave(len(points) // len(pixels), dim=0)
            logits, ious = self.pair.decoder(embeddings, points[:, :3], labels[:, :3])
        first = segmentation_loss(
            logits.float(), ious.float(), batch.targets, batch.ambiguous, batch.single_weight
        )
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
        with fast_arithmetic("cpu"):
            logits, ious = self.pair.decoder(embeddings, points, labels)
        never, wholly = torch.zeros_like(batch.ambiguous), torch.ones_like(batch.single_weight)
        second = segmentation_loss(logits.float(), ious.float(), batch.targets, never, wholly)
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
