"""Edge-aware smoothing of a mask, guided by the picture.

Owns the filter alone; what its answer means is `engine.matting`'s. Source: He, Sun and Tang,
"Guided Image Filtering" (ECCV 2010) in its colour form, and "Fast Guided Filter" (2015): the
linear coefficients are computed at a lower resolution.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


def guided_coefficients(
    guide: NDArray[np.float32], target: Plane, radius: int, epsilon: float
) -> NDArray[np.float32]:
    """Fit target = a . guide + b in every window, and average the fits over each pixel's windows.

    Args:
        guide: float32 [H, W, 3], 0..1.
        target: float32 [H, W], 0..1.
        radius: Half the window: 2 * radius + 1 pixels on a side.
        epsilon: How much colour variance (in squared guide units) a window needs before its edges count.

    Returns:
        float32 [H, W, 4]: the three a and b.
    """
    mean = _box_mean(radius)
    guide_mean, target_mean = mean(guide), mean(target)
    covariance = mean(guide * target[..., None]) - guide_mean * target_mean[..., None]

    def variance(first: int, second: int) -> Plane:
        product = mean(guide[..., first] * guide[..., second])
        return product - guide_mean[..., first] * guide_mean[..., second]

    rr, gg, bb = variance(0, 0) + epsilon, variance(1, 1) + epsilon, variance(2, 2) + epsilon
    rg, rb, gb = variance(0, 1), variance(0, 2), variance(1, 2)
    # The inverse of the symmetric 3x3 matrix, by cofactors: one expression a plane, no solver a pixel.
    c_rr, c_rg, c_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c_gg, c_gb, c_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    scale = 1 / (rr * c_rr + rg * c_rg + rb * c_rb)
    with_r, with_g, with_b = covariance[..., 0], covariance[..., 1], covariance[..., 2]
    fit = np.empty((*target.shape, 4), np.float32)
    fit[..., 0] = (c_rr * with_r + c_rg * with_g + c_rb * with_b) * scale
    fit[..., 1] = (c_rg * with_r + c_gg * with_g + c_gb * with_b) * scale
    fit[..., 2] = (c_rb * with_r + c_gb * with_g + c_bb * with_b) * scale
    fit[..., 3] = target_mean - (fit[..., :3] * guide_mean).sum(axis=2)
    return mean(fit)


def _box_mean(radius: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(planes: NDArray[np.float32]) -> NDArray[np.float32]:
        blurred = cv2.boxFilter(planes, -1, size, borderType=cv2.BORDER_REFLECT)
        return blurred.astype(np.float32, copy=False)

    return mean
