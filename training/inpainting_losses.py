"""What makes a fill good: right colours, right amount of detail, and detail that looks real.

Owns the terms of the inpainting loss and the patch discriminator. Pixels are compared only after
averaging, because comparing fine detail pixel by pixel rewards smearing it away. All terms look
at the hole alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


def colour_loss(fill: Tensor, truth: Tensor, hole: Tensor, start: Tensor) -> Tensor:
    """Error of 8 and 16 px averages inside the hole, as a share of the error of `start`; 1 = no better.

    A share, so that a sky, where every error shows, counts as much as a crowd, where none does.
    Pictures are [B, 3, H, W] 0..1, the hole is [B, 1, H, W].
    """
    loss = fill.new_zeros(())
    for cell in (8, 16):
        error, start_error = (_coarse_error(picture, truth, hole, cell) for picture in (fill, start))
        loss = loss + (error / (start_error.detach() + 0.01)).mean() / 2
    return loss


def _coarse_error(picture: Tensor, truth: Tensor, hole: Tensor, cell: int) -> Tensor:
    """[B] root mean square of the differences of averages, as a value of 0..1."""
    share = functional.avg_pool2d(hole, cell)
    difference = functional.avg_pool2d((picture - truth) * hole, cell) / share.clamp(min=1e-3)
    power = (difference.square() * share).mean((1, 2, 3)) / share.mean((1, 2, 3))
    return (power + 1e-6).sqrt()


def detail_loss(fill: Tensor, truth: Tensor, hole: Tensor) -> Tensor:
    """Relative difference in the local strength (over 16 px) of the two finest bands of detail; 0..1."""
    loss = fill.new_zeros(())
    for cell in (16, 8):
        share = functional.avg_pool2d(hole, cell)
        ours, theirs = _strength(fill, hole, cell), _strength(truth, hole, cell)
        difference = (ours - theirs).abs() / (ours.detach() + theirs + 0.01)
        loss = loss + (difference * share).sum() / share.sum() / 2
        fill, truth, hole = (functional.avg_pool2d(x, 2) for x in (fill, truth, hole))
    return loss


def _strength(picture: Tensor, hole: Tensor, cell: int) -> Tensor:
    """[B, 1, H / cell, W / cell] root mean square of a picture's finest band inside the hole."""
    coarse = functional.interpolate(functional.avg_pool2d(picture, 2), scale_factor=2, mode="bilinear")
    power = functional.avg_pool2d((picture - coarse).square().mean(1, keepdim=True) * hole, cell)
    return (power / functional.avg_pool2d(hole, cell).clamp(min=1e-3) + 1e-6).sqrt()


class PatchDiscriminator(nn.Module):
    """Tells real patches of 22x22 px from filled ones."""

    def __init__(self, width: int = 32):
        super().__init__()

        def layer(source: int, target: int, kernel: int, stride: int) -> nn.Module:
            conv = nn.Conv2d(source, target, kernel, stride, padding=1)
            return nn.Sequential(nn.utils.parametrizations.spectral_norm(conv), nn.LeakyReLU(0.2))

        self.layers = nn.ModuleList(
            [
                layer(3, width, 4, 2),
                layer(width, 2 * width, 4, 2),
                layer(2 * width, 3 * width, 3, 1),
            ]
        )
        self.verdict = nn.Conv2d(3 * width, 1, 1)

    def forward(self, picture: Tensor) -> tuple[Tensor, list[Tensor]]:
        """[B, 3, H, W] 0..1 -> logits [B, 1, H / 4, W / 4], > 0 = real, and each layer's features."""
        features = [2 * picture - 1]
        for layer in self.layers:
            features.append(layer(features[-1]))
        return self.verdict(features[-1]), features[1:]


@dataclass(frozen=True, slots=True)
class AdversarialLosses:
    """What the generator minimises against the discriminator."""

    realism: Tensor
    features: Tensor


def adversarial_losses(
    discriminator: PatchDiscriminator, fill: Tensor, truth: Tensor, hole: Tensor
) -> AdversarialLosses:
    """Hinge loss and feature matching (Wang et al., pix2pixHD, CVPR 2018), inside the hole."""
    verdict, features = discriminator(fill)
    with torch.no_grad():
        _, real_features = discriminator(truth)
    matching = fill.new_zeros(())
    for feature, real in zip(features, real_features, strict=True):
        share = _at_size_of(feature, hole)
        scale = real.abs().mean().clamp(min=1e-3)
        matching = matching + ((feature - real).abs() * share).mean() / share.mean() / scale
    return AdversarialLosses(-_inside(verdict, hole), matching / len(features))


def discriminator_loss(
    discriminator: PatchDiscriminator, fill: Tensor, truth: Tensor, hole: Tensor
) -> Tensor:
    """Hinge loss on the patches that touch the hole, filled and real alike."""
    verdicts, _ = discriminator(torch.cat([fill.detach(), truth]))
    filled, real = verdicts.chunk(2)
    return _inside((1 + filled).relu(), hole) + _inside((1 - real).relu(), hole)


def _inside(values: Tensor, hole: Tensor) -> Tensor:
    share = _at_size_of(values, hole)
    return (values * share).sum() / share.sum()


def _at_size_of(values: Tensor, hole: Tensor) -> Tensor:
    return functional.interpolate(hole, size=values.shape[-2:], mode="area")
