import io
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from engine.errors import PhotoError
from engine.png import decode_png, encode_png

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda size: st.sampled_from([size, (*size, 3), (*size, 4)])
)


def written_by_opencv(pixels: np.ndarray) -> bytes:
    """As an earlier version stored photos."""
    up = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP)
    return cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]), up)[1].tobytes()


def seen_by_pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint8, shapes))
def test_png_is_lossless_for_every_shape(pixels: np.ndarray) -> None:
    pixels.flags.writeable = False
    assert np.array_equal(seen_by_pillow(encode_png(pixels)), pixels)


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


def test_png_of_another_writer_is_read_too() -> None:
    # Files that an earlier version stored: OpenCV's, and with rows of every kind as Pillow chooses them.
    y, x = np.mgrid[:60, :80]
    pixels = np.stack([(x * y) % 256, x * 3, y * 4], axis=-1).astype(np.uint8)
    by_opencv = written_by_opencv(pixels)
    by_pillow = io.BytesIO()
    Image.fromarray(pixels).save(by_pillow, "PNG")
    for data in (by_opencv, by_pillow.getvalue()):
        assert np.array_equal(decode_png(data).pixels, pixels)


def test_png_of_a_photo_is_no_larger_than_opencv_makes_it() -> None:
    y, x = np.mgrid[:400, :600].astype(np.float32)
    rng = np.random.default_rng(0)
    smooth = 120 + 60 * np.sin(x / 60) + 40 * np.cos(y / 45)
    photo = (smooth[..., None] + rng.normal(0, 4, (400, 600, 3))).clip(0, 255).astype(np.uint8)
    assert len(encode_png(photo)) < 1.05 * len(written_by_opencv(photo))


@pytest.mark.parametrize("position", [30, 45, 500, -20])
def test_a_wrong_byte_in_a_png_of_our_own_is_reported(position: int) -> None:
    data = bytearray(encode_png(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)))
    data[position] ^= 4
    with pytest.raises(PhotoError, match="damaged"):
        decode_png(bytes(data))


@pytest.mark.parametrize("keep", [0, 20, 60])
def test_damaged_png_of_our_own_is_reported(keep: int) -> None:
    data = encode_png(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    with pytest.raises(PhotoError, match="damaged"):
        decode_png(data[:keep])
