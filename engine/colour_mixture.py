"""What colours an object or its background has, as a mixture of Gaussians.

Owns the fit and the likelihood. Written out as one quadratic form a component, so that all pixels
are judged by one matrix product.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_COMPONENTS = 5
_LEAST_PIXELS = 8  # a component
_MOST_SAMPLES = 1500
_ROUNDS = 10
_NOISE = 4.0  # squared levels: no component is narrower than this
_MIDDLE = np.float32(128)  # colours are counted from here, so that squares keep their precision


def quadratic_terms(colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    """1, the channels, their squares and products of colours uint8 [N, 3]: float32 [N, 10]."""
    r, g, b = (colours.astype(np.float32) - _MIDDLE).T
    return np.stack([np.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b], axis=1)


def fit_mixture(terms: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fit a mixture to pixels.

    Args:
        terms: float32 [N, 10] as `quadratic_terms` gives them, N at least 1.

    Returns:
        float32 [10, K]: each component's log density times its share, as factors of the terms. The
        same pixels give the same mixture as long as OpenCV's random numbers start alike.
    """
    sample = np.ascontiguousarray(terms[:: -(-len(terms) // _MOST_SAMPLES), 1:4])
    clusters = min(_COMPONENTS, max(1, len(sample) // _LEAST_PIXELS))
    labels = np.zeros(len(sample), np.int32)
    stop = (cv2.TERM_CRITERIA_MAX_ITER, _ROUNDS, 0)
    if clusters > 1:  # OpenCV takes a single pixel for three samples of one number
        _, found, _ = cv2.kmeans(sample, clusters, labels, stop, 1, cv2.KMEANS_PP_CENTERS)
        labels = found.ravel().astype(np.int32, copy=False)
    groups = [sample[labels == label] for label in range(clusters)]
    factors = [_factors(group, len(group) / len(sample)) for group in groups if len(group)]
    return np.array(factors, np.float32).T


def log_likelihood(terms: NDArray[np.float32], mixture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log density float32 [N] of pixels under a mixture, up to a constant that all mixtures share."""
    each = terms @ mixture
    most = each.max(axis=1)
    total: NDArray[np.float32] = most + np.log(np.exp(each - most[:, None]).sum(axis=1))
    return total


def _factors(group: NDArray[np.float32], share: float) -> list[float]:
    mean = group.mean(axis=0, dtype=np.float64)
    off = group - mean
    covariance = off.T @ off / len(group) + _NOISE * np.eye(3)
    inverse = np.linalg.inv(covariance)
    linear = inverse @ mean
    constant = np.log(share) - 0.5 * (mean @ linear + np.linalg.slogdet(covariance)[1])
    squares = [-0.5 * inverse[channel, channel] for channel in range(3)]
    return [constant, *linear, *squares, -inverse[0, 1], -inverse[0, 2], -inverse[1, 2]]
