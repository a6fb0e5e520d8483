import io

import numpy as np
import pytest
from PIL import Image

from engine.encoding import encode_jpeg, encode_webp


def seen_by_pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("encode", [encode_jpeg, encode_webp])
def test_lossy_formats_keep_red_red(encode) -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[...] = (200, 30, 60)
    assert np.abs(seen_by_pillow(encode(pixels)).astype(int) - pixels).max() <= 6


def test_jpeg_keeps_colour_edges_sharp() -> None:
    pixels = np.zeros((32, 33, 3), np.uint8)
    pixels[:, :17] = (230, 20, 20)
    pixels[:, 17:] = (20, 20, 230)
    assert np.abs(seen_by_pillow(encode_jpeg(pixels)).astype(int) - pixels).max() <= 24


def test_webp_keeps_alpha() -> None:
    pixels = np.full((16, 16, 4), 200, np.uint8)
    pixels[:, 8:, 3] = 0
    alpha = seen_by_pillow(encode_webp(pixels))[..., 3]
    assert (alpha[:, :8] == 200).all() and (alpha[:, 8:] == 0).all()


def test_jpeg_with_alpha_is_refused() -> None:
    with pytest.raises(ValueError, match="alpha"):
        encode_jpeg(np.zeros((4, 4, 4), np.uint8))
