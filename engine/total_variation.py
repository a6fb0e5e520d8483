"""The cheapest division of a picture in two, boundaries costing least along its edges.

Owns the minimisation alone. Source: Chan, Esedoglu and Nikolova (2006) for the convex form of the
problem, Chambolle and Pock (2011) for the primal-dual steps. Unlike a graph cut on pixels it
measures a boundary's true length, not its steps, and may stop early.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

_PRIMAL_STEP = np.float32(0.35)
_DUAL_STEP = np.float32(1 / (8 * 0.35))  # the product of both must not exceed 1 / 8


@dataclass(frozen=True, slots=True)
class EdgeWeights:
    """Cost 0..1 of a boundary between each pixel and the next; 0 in the last column or row."""

    right: Plane
    down: Plane


def edge_weights(picture: NDArray[np.uint8]) -> EdgeWeights:
    """Weights that fall with the difference of colour, in units of the picture's mean difference."""
    colours = picture.astype(np.float32)
    across = ((colours[:, 1:] - colours[:, :-1]) ** 2).sum(axis=2)
    along = ((colours[1:] - colours[:-1]) ** 2).sum(axis=2)
    mean = (across.sum() + along.sum()) / max(across.size + along.size, 1)
    slope = np.float32(1 / max(2 * mean, 1e-6))
    right, down = np.zeros(picture.shape[:2], np.float32), np.zeros(picture.shape[:2], np.float32)
    right[:, :-1], down[:-1] = np.exp(-slope * across), np.exp(-slope * along)
    return EdgeWeights(right, down)


def divide(cost: Plane, weights: EdgeWeights, boundary_cost: float, start: Plane, steps: int) -> Plane:
    """Minimise sum(cost * u) + boundary_cost * (weighted length of u's boundary) over u in 0..1.

    Args:
        cost: float32 [H, W] of belonging to the object, negative where it is likelier than not.
        weights: Of the same picture.
        boundary_cost: For one pixel of boundary of weight 1, in units of `cost`.
        start: float32 [H, W], 0..1.
        steps: More come nearer to the minimum.

    Returns:
        float32 [H, W]: u, above 0.5 the object.
    """
    share, ahead = start, start
    right, down = np.zeros_like(cost), np.zeros_like(cost)
    step, difference, spread = np.empty_like(cost), np.zeros_like(cost), np.empty_like(cost)
    scaled = cost * np.float32(_PRIMAL_STEP / boundary_cost)
    least_right, least_down = -weights.right, -weights.down
    for _ in range(steps):
        np.subtract(ahead[:, 1:], ahead[:, :-1], out=difference[:, :-1])
        _take_dual_step(right, difference, least_right, weights.right)
        difference[:, -1] = 0
        np.subtract(ahead[1:], ahead[:-1], out=difference[:-1])
        difference[-1] = 0
        _take_dual_step(down, difference, least_down, weights.down)
        np.add(right, down, out=spread)
        spread[:, 1:] -= right[:, :-1]
        spread[1:] -= down[:-1]
        spread *= _PRIMAL_STEP
        np.subtract(spread, scaled, out=step)
        step += share
        np.maximum(step, 0, out=step)
        moved = np.minimum(step, 1)
        ahead = 2 * moved - share
        share = moved
    return share


def _take_dual_step(dual: Plane, difference: Plane, least: Plane, most: Plane) -> None:
    difference *= _DUAL_STEP
    dual += difference
    # Not `np.clip`, which takes twice as long on arrays as small as these.
    np.maximum(dual, least, out=dual)
    np.minimum(dual, most, out=dual)
