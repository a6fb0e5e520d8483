"""The checkpoint inside the package: it loads, it is small, it sees an obvious object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open

import engine.bundled
from engine.mobile_sam.network import MobileSamDecoder, MobileSamEncoder
from engine.mobile_sam.segment import PictureEncoder, PromptDecoder, upscale_logits
from engine.types import ObjectPrompt, RgbImage

Runtime = Callable[[torch.nn.Module], Callable[..., tuple[NDArray, ...]]]
FILE = Path(engine.bundled.__path__[0]) / "mobile_sam.safetensors"


def test_bundled_file_is_small() -> None:
    assert FILE.stat().st_size <= 6_000_000


@pytest.mark.parametrize(
    "prompt",
    [ObjectPrompt(((220, 140),), (1,)), ObjectPrompt(box=(150, 70, 290, 210))],
    ids=["tap", "box"],
)
def test_bundled_network_finds_an_obvious_object(prompt: ObjectPrompt, eager: Runtime) -> None:
    with safe_open(FILE, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    encoder = MobileSamEncoder.from_tensors(tensors, metadata)
    decoder = MobileSamDecoder.from_tensors(tensors, metadata)
    size = encoder.config.image_size

    rows, columns = np.mgrid[:300, :400]
    truth = (columns - 220) ** 2 + (rows - 140) ** 2 < 70**2
    image = RgbImage(np.where(truth[..., None], (220, 40, 30), (90, 130, 90)).astype(np.uint8))
    (embedding,) = PictureEncoder(eager(encoder), size).encode([image])
    ((decoded,),) = PromptDecoder(eager(decoder), size).decode([(embedding, [prompt])])
    mask = upscale_logits(decoded.candidates[0].logits, image.width, image.height, size) > 0
    iou = np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth)
    assert iou > 0.6, f"IoU {iou:.2f} with a plain red disc"
