"""Whether a network answers in bf16 or in 8 bits as it does in fp32, tried on pictures drawn here.

Owns the pictures, the two comparisons and their bounds, and what this processor has at all. Who loads
networks asks; see `deployments/precision.py`.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.lama.calibration import draw_tasks
from engine.lama.fill import Inpainter
from engine.mobile_sam.segment import PictureEncoder, PromptDecoder, upscale_logits
from engine.types import FillTask, ImageEmbedding, ObjectPrompt, PixelBox, Precision, RgbImage

# Mean IoU of masks from embeddings of the fast encoder with those from embeddings in fp32, and mean
# difference of fills, grey levels of 255: what may be lost for the speed.
LEAST_MASK_IOU = 0.99
MOST_FILL_DIFFERENCE = 1.0

SIDE = 512
# Discs and squares on a textured wall: x, y of the middle and half the size, pixels.
SHAPES = ((110, 120, 62), (330, 100, 70), (420, 300, 66), (230, 260, 48), (100, 400, 74), (310, 430, 52))
COLOURS = (
    (200, 40, 36),
    (30, 60, 190),
    (240, 196, 40),
    (36, 130, 60),
    (240, 240, 236),
    (60, 30, 70),
)


def known_to_processor() -> tuple[str, frozenset[Precision]]:
    """The processor's name, and what it multiplies by itself beside fp32 where OpenVINO can use that."""
    try:
        # Not at the top: it takes 0.4 s, and a process on a GPU has no use for it.
        from engine.silent_openvino import openvino

        core = openvino.Core()
        capabilities = set(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        name = f"{core.get_property('CPU', 'FULL_DEVICE_NAME')}, OpenVINO {openvino.__version__}"
    except (ImportError, RuntimeError):
        return "", frozenset()
    fast = (Precision.BF16, Precision.INT8, Precision.INT8_BF16)
    return name, frozenset(one for one in fast if capabilities.issuperset(one.value.upper().split("+")))


def probe_picture() -> RgbImage:
    """The picture that is tried: always the same, 512 x 512."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    wall = 168 + 24 * np.sin(x / 61) + 16 * np.cos(y / 47) + 10 * np.sin((x + 2 * y) / 13)
    pixels = np.stack([wall, wall - 8, wall - 26], axis=-1)
    for index, ((cx, cy, half), colour) in enumerate(zip(SHAPES, COLOURS, strict=True)):
        if index % 2:
            inside = (abs(x - cx) < half) & (abs(y - cy) < half)
        else:
            inside = (x - cx) ** 2 + (y - cy) ** 2 < half**2
        shade = 1 + 0.25 * ((x - cx) + (y - cy)) / (2 * half)
        pixels[inside] = (np.array(colour, np.float32) * shade[..., None])[inside]
    pixels += np.random.default_rng(5).normal(0, 5, pixels.shape)
    return RgbImage(cv2.GaussianBlur(pixels.clip(0, 255), (3, 3), 0).astype(np.uint8))


def mask_iou(exact: PictureEncoder, fast: PictureEncoder, decoder: PromptDecoder, side: int) -> float:
    """Mean IoU, over one tap on each shape, of the masks that the two encoders' embeddings lead to.

    `side`: of the encoder's padded frame, pixels.
    """
    picture = probe_picture()

    def masks(encoder: PictureEncoder) -> list[NDArray[np.bool_]]:
        embedding: ImageEmbedding = encoder.encode([picture])[0]
        taps = [ObjectPrompt(points=((float(x), float(y)),), labels=(1,)) for x, y, _ in SHAPES]
        (objects,) = decoder.decode([(embedding, taps)])
        return [upscale_logits(one.candidates[0].logits, SIDE, SIDE, side) > 0 for one in objects]

    overlaps = []
    for one, other in zip(masks(exact), masks(fast), strict=True):
        union = np.count_nonzero(one | other)
        overlaps.append(np.count_nonzero(one & other) / union if union else 1.0)
    return float(np.mean(overlaps))


def fill_difference(
    exact: Inpainter,
    fast: Inpainter,
    size: int,
) -> float:
    """Mean difference of two inpainters' fills, grey levels of 255, in three pictures.

    `size`: of the squares that are filled, pixels.
    """
    differences = []
    # Other pictures than those by which the steps of 8 bits were chosen.
    for task in [probe_task(size), *draw_tasks(2, size, first=100)]:
        one, other = (
            np.asarray(inpainter.fill([task])[0].pixels, np.float32)[task.hole] for inpainter in (exact, fast)
        )
        differences.append(np.abs(one - other).mean())
    return float(np.mean(differences))


def probe_task(size: int) -> FillTask:
    """Three holes in the picture that is tried, `size` x `size` pixels."""
    picture = probe_picture().pixels
    pixels = np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    hole = np.zeros((size, size), np.bool_)
    for x, y, half in SHAPES[1:4]:
        scale = size / SIDE
        rows = slice(int((y - half) * scale), int((y + half) * scale))
        hole[rows, int((x - half) * scale) : int((x + half) * scale)] = True
    return FillTask(PixelBox(0, 0, size, size), 1.0, pixels, hole)
