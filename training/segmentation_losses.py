"""What a segmentation network is trained to minimise.

Owns the losses on low-resolution logits and predicted IoU: focal and dice on the best of the masks
for ambiguous prompts and on the single mask always, and the error of the IoU prediction.
Source: Segment Anything (Kirillov et al. 2023), appendix A, with other weights.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

FOCAL_WEIGHT = 8.0
OTHERS_WEIGHT = 0.3  # a pull on the masks that were not best: the choice among them is often wrong
IOU_WEIGHT = 5.0


def mask_errors(logits: Tensor, targets: Tensor) -> Tensor:
    """Focal plus dice loss of each mask: logits [R, M, L, L], targets [R, L, L] 0..1 -> [R, M]."""
    targets = targets[:, None].expand_as(logits)
    chances = logits.sigmoid()
    surprise = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    focal = ((chances - targets).abs().square() * surprise).mean(dim=(2, 3))
    shared, total = (chances * targets).sum(dim=(2, 3)), (chances + targets).sum(dim=(2, 3))
    return FOCAL_WEIGHT * focal + 1 - (2 * shared + 1) / (total + 1)


def true_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """IoU of each mask with its target, both made binary: [R, M]."""
    masks, objects = logits > 0, (targets > 0.5)[:, None]
    return (masks & objects).sum(dim=(2, 3)) / (masks | objects).sum(dim=(2, 3)).clamp(min=1)


def segmentation_loss(
    logits: Tensor, ious: Tensor, targets: Tensor, ambiguous: Tensor, single_weight: Tensor
) -> Tensor:
    """The loss of a batch, a scalar.

    Args:
        logits: float32 [R, M, L, L]; mask 0 is the single answer, the others are for ambiguity.
        ious: float32 [R, M] predicted.
        targets: float32 [R, L, L] share of each cell that is object.
        ambiguous: bool [R]; where false only the single mask is asked to be right.
        single_weight: float32 [R], how much the single mask is asked to be right.
    """
    errors = mask_errors(logits, targets)
    choices = errors[:, 1:]
    best = choices.min(dim=1).values
    of_masks = (
        single_weight * errors[:, 0] + torch.where(ambiguous, best, 0.0) + OTHERS_WEIGHT * choices.mean(dim=1)
    )
    of_ious = F.mse_loss(ious, true_iou(logits.detach(), targets))
    return of_masks.mean() + IOU_WEIGHT * of_ious
