"""An object's outline from the picture's colours, for networks too coarse to know it.

Owns what turns "about here" into a mask: colours of object and background are learned from the
network's first guess, and the picture is divided by them along its edges. The energy is that of
Rother, Kolmogorov and Blake, "GrabCut" (SIGGRAPH 2004), with the network's logits in place of the
user's rectangle; it is minimised in its convex form. Figures: docs/pixels.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.colour_mixture import fit_mixture, log_likelihood, quadratic_terms
from engine.total_variation import divide, edge_weights

WORKING_SIDE_PX = 128
SURE_LOGIT = 2.0  # at 2 the network is right about nine times in ten; the cut decides below
_ROUNDS = 2  # of learning colours and dividing by them
_STEPS = 80  # of each division
_BOUNDARY_COST = 15.0  # of one pixel, in units of log likelihood
_MOST_EVIDENCE = 20.0  # of one pixel, likewise
# One unit of the network's logits counts as one of log likelihood where colours tell the object from its
# background, as up to eight where they do not: the smaller the evidence of what is open, the more, unless
# hardly any sure pixel has the other side's colours.
_TELLING_EVIDENCE = 8.0  # mean, in units of log likelihood
_TELLING_ERRORS = 0.08  # share of the sure pixels, mean of both sides
_MOST_BELIEF = 8.0
_SURE_COST = 500.0
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
        bool [H, W], with details down to about 1 / 128 of the window's longer side; logits > 0 if there is
        nothing to separate.
    """
    height, width = logits.shape
    scale = min(1.0, WORKING_SIDE_PX / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if min(size) < _LEAST_SIDE_PX:
        return np.asarray(logits > 0)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    guess = cv2.resize(logits, size, interpolation=cv2.INTER_AREA)
    sure = np.where(guess > SURE_LOGIT, np.float32(1), np.float32(0))
    sure[guess < -SURE_LOGIT] = -1
    radius = max(1, round(_TAP_SHARE * max(size)))
    for seeds, side in ((unwanted, -1.0), (wanted, 1.0)):
        for x, y in seeds:
            if 0 <= x < width and 0 <= y < height:
                cv2.circle(sure, (int(x * scale), int(y * scale)), radius, (side,), cv2.FILLED)
    is_object = np.where(sure == 0, guess > 0, sure > 0)
    if is_object.all() or not is_object.any():
        return np.asarray(logits > 0)
    cv2.setRNGSeed(0)  # the colour models start from random clusters: the same tap, the same mask
    terms, weights = quadratic_terms(small.reshape(-1, 3)), edge_weights(small)
    share = is_object.astype(np.float32)
    for _ in range(_ROUNDS):
        inside = is_object.ravel()
        fits_object = log_likelihood(terms, fit_mixture(terms[inside]))
        fits_background = log_likelihood(terms, fit_mixture(terms[~inside]))
        evidence = np.clip(fits_background - fits_object, -_MOST_EVIDENCE, _MOST_EVIDENCE)
        evidence = evidence.reshape(guess.shape)
        open_cost = evidence - _belief(evidence, sure) * guess
        cost = np.where(sure == 0, open_cost, -_SURE_COST * sure)
        share = divide(cost.astype(np.float32, copy=False), weights, _BOUNDARY_COST, share, _STEPS)
        is_object = share > 0.5
        if is_object.all() or not is_object.any():
            break
    mask = np.asarray(cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5)
    # The logits may be sure of finer things than the small picture holds; taps still overrule them.
    beside_taps = np.ones(mask.shape, np.uint8)
    for x, y in (*wanted, *unwanted):
        cv2.circle(beside_taps, (x, y), round(radius / scale) + 1, (0,), cv2.FILLED)
    np.copyto(mask, logits > 0, where=(np.abs(logits) > SURE_LOGIT) & (beside_taps > 0))
    return mask


def _belief(evidence: NDArray[np.float32], sure: NDArray[np.float32]) -> float:
    """What one unit of logit counts beside the colours' `evidence`, below 0 for the object; `sure` 0 is open.

    In clutter the two mixtures overlap, and their small differences are chance: there the network decides.
    """
    is_open = sure == 0
    if not is_open.any():
        return 1.0
    clearness = float(np.abs(evidence[is_open]).mean()) / _TELLING_EVIDENCE
    against = [side * evidence[sure * side > 0] >= 0 for side in (1, -1)]  # the sure pixels of each side
    errors = float(np.mean([wrong.mean() if wrong.size else 0.5 for wrong in against]))
    return float(np.clip(max(clearness, 1e-3) ** -2 * min(errors / _TELLING_ERRORS, 1.0), 1.0, _MOST_BELIEF))
