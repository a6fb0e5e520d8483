import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from engine.encoding import decode_png, encode_jpeg, encode_png, encode_webp
from engine.errors import PhotoError

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda size: st.sampled_from([size, (*size, 3), (*size, 4)])
)


def seen_by_pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint8, shapes), st.integers(1, 9))
def test_png_is_lossless_for_every_shape_and_level(pixels: np.ndarray, level: int) -> None:
    pixels.flags.writeable = False
    assert np.array_equal(seen_by_pillow(encode_png(pixels, level)), pixels)


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))))
def test_png_of_our_own_is_read_back_as_it_was(pixels: np.ndarray) -> None:
    image = decode_png(encode_png(pixels))
    assert np.array_equal(image.pixels, pixels) and not image.pixels.flags.writeable


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3), (3, 5, 4)])
def test_png_says_srgb_before_its_pixels(shape: tuple[int, ...]) -> None:
    data = encode_png(np.zeros(shape, np.uint8))
    names, position = [], 8
    while position < len(data):
        length, name = struct.unpack(">I4s", data[position : position + 8])
        names.append(name)
        position += 12 + length
    assert names == [b"IHDR", b"sRGB", b"IDAT", b"IEND"]
    assert Image.open(io.BytesIO(data)).info["srgb"] == 0


def test_transparent_pixels_keep_their_colour_in_a_png() -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[..., 0] = 77
    assert np.array_equal(seen_by_pillow(encode_png(pixels)), pixels)


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


@pytest.mark.parametrize("keep", [0, 20, 60])
def test_damaged_png_of_our_own_is_reported(keep: int) -> None:
    data = encode_png(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    with pytest.raises(PhotoError, match="damaged"):
        decode_png(data[:keep])
