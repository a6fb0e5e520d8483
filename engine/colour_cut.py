"""An object's outline from the picture's colours, for networks too coarse to know it.

Owns the graph cut that turns "about here" into a mask. Source: Rother, Kolmogorov and Blake,
"GrabCut" (SIGGRAPH 2004), in OpenCV's implementation, with the network's logits in place of the
user's rectangle. Figures: docs/pixels.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

WORKING_SIDE_PX = 256
SURE_LOGIT = 2.0  # at 2 the network is right about nine times in ten; the cut decides below
_ROUNDS = 2
_TAP_SHARE = 0.02  # of the working side: as far around a tap the user is believed
_LEAST_SIDE_PX = 8


def cut_by_colour(
    picture: NDArray[np.uint8],
    logits: NDArray[np.float32],
    wanted: Sequence[tuple[int, int]] = (),
    unwanted: Sequence[tuple[int, int]] = (),
) -> NDArray[np.bool_]:
    """Separate an object from its background by colour where the logits leave it open.

    Args:
        picture: uint8 [H, W, 3] RGB: the object and some background around it.
        logits: float32 [H, W]; above 2 the object, below -2 the background, open in between.
        wanted: Points of the object, x, y in this window; those outside of it are ignored.
        unwanted: Points that are not the object, likewise.

    Returns:
        bool [H, W], with steps of about 1 / 256 of the window's longer side; logits > 0 if there is
        nothing to separate.
    """
    height, width = logits.shape
    scale = min(1.0, WORKING_SIDE_PX / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if min(size) < _LEAST_SIDE_PX:
        return np.asarray(logits > 0)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    guess = cv2.resize(logits, size, interpolation=cv2.INTER_AREA)
    labels = np.where(guess > 0, np.uint8(cv2.GC_PR_FGD), np.uint8(cv2.GC_PR_BGD))
    labels[guess < -SURE_LOGIT] = cv2.GC_BGD
    labels[guess > SURE_LOGIT] = cv2.GC_FGD
    radius = max(1, round(_TAP_SHARE * max(size)))
    for seeds, label in ((unwanted, cv2.GC_BGD), (wanted, cv2.GC_FGD)):
        for x, y in seeds:
            if 0 <= x < width and 0 <= y < height:
                cv2.circle(labels, (int(x * scale), int(y * scale)), radius, (label,), cv2.FILLED)
    is_object = _is_foreground(labels)
    if is_object.all() or not is_object.any():
        return np.asarray(logits > 0)
    cv2.setRNGSeed(0)  # the colour models start from random clusters: the same tap, the same mask
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    no_rectangle = (0, 0, 1, 1)
    back_model, front_model = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(bgr, labels, no_rectangle, back_model, front_model, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    share = _is_foreground(labels).astype(np.float32)
    return np.asarray(cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5)


def _is_foreground(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
