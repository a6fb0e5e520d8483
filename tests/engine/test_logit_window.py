import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.logit_window import cell_px, positive_box, upscale_window
from engine.mobile_sam.segment import upscale_logits
from engine.types import PixelBox


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from([(16, 64), (64, 256), (32, 128)]),
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_window_is_the_same_as_cutting_it_from_all_logits(
    width: int, height: int, sides: tuple[int, int], seed: int, corners: tuple[float, float, float, float]
) -> None:
    side, image_size = sides
    logits = np.random.default_rng(seed).normal(0, 4, (side, side)).astype(np.float32)
    x0, x1 = sorted(int(share * (width - 1)) for share in corners[:2])
    y0, y1 = sorted(int(share * (height - 1)) for share in corners[2:])
    window = PixelBox(x0, y0, x1 + 1, y1 + 1)
    everything = upscale_logits(logits, width, height, image_size)
    cut = upscale_window(logits, width, height, image_size, window)
    assert cut.shape == (window.height, window.width) and cut.dtype == np.float32
    # Random logits differ by up to 30 between neighbours: 1e-3 is far below one pixel's step.
    assert np.abs(cut - everything[window.slices]).max() < 2e-3


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.lists(st.tuples(st.integers(0, 31), st.integers(0, 31)), min_size=1, max_size=4),
)
def test_nothing_is_positive_outside_the_positive_box(
    width: int, height: int, cells: list[tuple[int, int]]
) -> None:
    logits = np.full((32, 32), -0.5, np.float32)
    for x, y in cells:
        logits[y, x] = 30
    positive = upscale_logits(logits, width, height, 128) > 0
    box = positive_box(logits, width, height, 128)
    if box is None:
        assert not positive.any()
    else:
        outside = positive.copy()
        outside[box.slices] = False
        assert not outside.any()


def test_box_of_a_small_object_is_small() -> None:
    logits = np.full((64, 64), -5, np.float32)
    logits[20:24, 30:34] = 5
    box = positive_box(logits, 4096, 4096, 256)
    assert box is not None and max(box.width, box.height) <= 7 * 64


@pytest.mark.parametrize("value", [-1.0, 0.0])
def test_logits_without_a_positive_one_have_no_box(value: float) -> None:
    assert positive_box(np.full((8, 8), value, np.float32), 100, 100, 32) is None


def test_cell_is_measured_along_the_longer_side() -> None:
    assert cell_px(1024, 300, 64) == 16
