import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.disc_decoder import RADIUS, draw_discs
from engine.mobile_sam.network import MobileSamDecoder

GOLDEN = Path(__file__).parents[1] / "golden"
CELL = 1 / 64


@pytest.fixture(scope="module")
def decoder() -> MobileSamDecoder:
    """Of the released size."""
    sys.path.insert(0, str(GOLDEN))
    try:
        from seeded_weights import seeded_tensor
    finally:
        sys.path.remove(str(GOLDEN))
    layout = json.loads((GOLDEN / "mobile_sam_layout.json").read_text())
    tensors = {
        name: torch.from_numpy(np.array(seeded_tensor(name, shape, 0)))
        for name, shape in layout.items()
        if not name.startswith("image_encoder.") or ".neck.3." in name
    }
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    draw_discs(tensors)
    assert {name: tensor.shape for name, tensor in tensors.items()} == shapes
    # The decoder's dimensions are read from the whole checkpoint; the encoder's own values do not matter.
    whole = {name: torch.zeros(shape) for name, shape in layout.items()} | tensors
    return MobileSamDecoder.from_tensors(whole, {})


@pytest.mark.parametrize("place", [(0.3, 0.4), (0.7, 0.55)])
def test_a_tap_has_a_disc_around_itself(decoder: MobileSamDecoder, place: tuple[float, float]) -> None:
    points = torch.tensor([[[1024 * place[0], 1024 * place[1]], [0, 0]]])
    with torch.inference_mode():
        logits, scores = decoder(torch.zeros(1, 256, 64, 64), points, torch.tensor([[1, -1]]))

    mask = logits[0, int(scores[0, 1:].argmax()) + 1].numpy() > 0
    rows, columns = np.nonzero(mask)
    assert abs((columns.mean() + 0.5) / 256 - place[0]) < CELL
    assert abs((rows.mean() + 0.5) / 256 - place[1]) < CELL
    assert np.sqrt(mask.mean() / np.pi) == pytest.approx(RADIUS, abs=1.5 * CELL)
