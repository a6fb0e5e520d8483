"""Drawn pictures with a known object, for the tests of what happens to pixels."""

import cv2
import numpy as np

from engine.hole import hole_weights
from engine.mobile_sam.segment import framed_size
from engine.types import (
    DecodedObject,
    MaskCandidate,
    MaskRegion,
    PixelBox,
    RefinedObject,
    RgbImage,
    WeightRegion,
)

OBJECT_RGB = (210, 60, 40)
BACKGROUND_RGB = (40, 90, 160)


def disc(width: int, height: int, x: int, y: int, radius: int) -> np.ndarray:
    """Share 0..1 of the disc in every pixel, float32 [H, W]."""
    fine = np.zeros((height * 4, width * 4), np.uint8)
    cv2.circle(fine, (x * 4 + 2, y * 4 + 2), radius * 4, 255, -1)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def painted(share: np.ndarray, noise: float = 2.0) -> RgbImage:
    """A picture of an object in one colour on a background in another, with some noise."""
    mixed = share[..., None] * np.array(OBJECT_RGB) + (1 - share[..., None]) * np.array(BACKGROUND_RGB)
    mixed += np.random.default_rng(0).normal(0, noise, mixed.shape)
    pixels = mixed.clip(0, 255).round().astype(np.uint8)
    pixels.flags.writeable = False
    return RgbImage(pixels)


def object_at(box: PixelBox, image: RgbImage, dilate_px: int = 4, feather_px: int = 2) -> RefinedObject:
    """A solid rectangle as an object."""
    mask = MaskRegion(box, np.ones((box.height, box.width), bool))
    hole = hole_weights(mask, image.width, image.height, dilate_px, feather_px)
    alpha = WeightRegion(box, np.full((box.height, box.width), 255, np.uint8))
    return RefinedObject(mask, alpha, hole, 1.0, 1.0, box.width * box.height, box, ())


def logits_of(share: np.ndarray, side: int = 64, image_size: int = 256, height: float = 4.0) -> np.ndarray:
    """What a good decoder answers for a mask: float32 [side, side] in the padded frame."""
    width_px, height_px = share.shape[1], share.shape[0]
    framed = framed_size(width_px, height_px, image_size)
    frame = np.zeros((image_size, image_size), np.float32)
    frame[: framed[1], : framed[0]] = cv2.resize(share, framed, interpolation=cv2.INTER_AREA)
    small = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
    logits = (small - 0.5) * 2 * height
    logits.flags.writeable = False
    return logits


def decoded(*shares: np.ndarray, side: int = 64, image_size: int = 256, score: float = 0.9) -> DecodedObject:
    """A decoder's answer whose candidates are these masks, in this order."""
    return DecodedObject(
        tuple(MaskCandidate(logits_of(share, side, image_size), score, 0.95) for share in shares)
    )


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())
