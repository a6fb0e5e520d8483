import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.hole import hole_weights, ring_px
from engine.types import MaskRegion, PixelBox, WeightRegion


def blob(seed: int) -> MaskRegion:
    mask = np.zeros((80, 90), np.uint8)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        x, y = rng.integers(20, 60, 2)
        cv2.circle(mask, (int(x), int(y)), int(rng.integers(1, 15)), 1, -1)
    return MaskRegion(PixelBox(10, 20, 100, 100), mask.astype(bool))


def on_picture(region: WeightRegion | MaskRegion, width: int, height: int) -> np.ndarray:
    full = np.zeros((height, width), region.pixels.dtype)
    full[region.box.slices] = region.pixels
    return full


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 40), st.integers(0, 60))
def test_weight_is_full_on_the_object_and_none_beyond_the_ring(
    seed: int, dilate_px: int, feather_px: int
) -> None:
    covered = blob(seed)
    weights = on_picture(hole_weights(covered, 110, 120, dilate_px, feather_px), 110, 120)
    mask = on_picture(covered, 110, 120)
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert (weights[mask] == 255).all()
    assert (weights[distance > (dilate_px + 1) * 1.03 + 0.1] == 0).all()
    assert (weights[distance < (dilate_px - feather_px) * 0.97 - 0.1] == 255).all()
    if dilate_px == 0:
        assert np.array_equal(weights == 255, mask) and set(np.unique(weights)) <= {0, 255}


def test_weight_falls_steadily_from_the_inner_ring_outward() -> None:
    covered = MaskRegion(PixelBox(0, 0, 50, 100), np.ones((100, 50), bool))
    row = on_picture(hole_weights(covered, 100, 100, 20, 10), 100, 100)[50].astype(int)
    assert (row[:60] == 255).all() and (row[70:] == 0).all()
    assert (np.diff(row[59:71]) < 0).all()


def test_wider_feather_than_ring_is_the_whole_ring() -> None:
    covered = blob(3)
    wide, ring = hole_weights(covered, 110, 120, 9, 50), hole_weights(covered, 110, 120, 9, 9)
    assert np.array_equal(wide.pixels, ring.pixels)


@pytest.mark.parametrize(("side", "ring"), [(40, 7), (700, 7), (1500, 15), (4000, 40)])
def test_ring_grows_with_the_object_above_its_floor(side: int, ring: int) -> None:
    assert ring_px(side) == ring


def test_ring_is_at_least_as_wide_as_the_edge_is_uncertain() -> None:
    assert ring_px(100, edge_error_px=16) == 16
