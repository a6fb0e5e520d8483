import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.shapes import coco_rle, mask_polygons
from engine.types import MaskRegion, PixelBox


def region_of(mask: np.ndarray, x0: int = 0, y0: int = 0) -> MaskRegion:
    return MaskRegion(PixelBox(x0, y0, x0 + mask.shape[1], y0 + mask.shape[0]), mask)


def decode_coco(size: list[int], text: str) -> np.ndarray:
    """An independent reading of the format, character by character."""
    runs: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            code = ord(text[position]) - 48
            value |= (code & 0x1F) << shift
            more = bool(code & 0x20)
            position, shift = position + 1, shift + 5
            if not more and code & 0x10:
                value |= -1 << shift
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
    flat = np.zeros(size[0] * size[1], bool)
    start = 0
    for index, run in enumerate(runs):
        flat[start : start + run] = index % 2 == 1
        start += run
    assert start == flat.size
    return flat.reshape(size[::-1]).T


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        # By hand: runs 4; 0 4; 1 2 1; 6 2 3 2 3 2 7; from the fourth on less the one before the last.
        (["00", "00"], "4"),
        (["11", "11"], "04"),
        (["01", "10"], "121"),
        (["00000", "01110", "01110", "00000", "00000"], "6230004"),
    ],
)
def test_coco_rle_of_small_masks_is_the_known_text(rows: list[str], counts: str) -> None:
    mask = np.array([[letter == "1" for letter in row] for row in rows])
    rle = coco_rle(region_of(mask), *mask.shape[::-1])
    assert rle.as_dict() == {"size": list(mask.shape), "counts": counts}


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24))),
    st.integers(0, 70),
    st.integers(0, 70),
    st.integers(0, 3),
)
def test_coco_rle_is_read_back_exactly(mask: np.ndarray, x0: int, y0: int, rest: int) -> None:
    width, height = x0 + mask.shape[1] + rest, y0 + mask.shape[0] + rest
    full = np.zeros((height, width), bool)
    full[y0 : y0 + mask.shape[0], x0 : x0 + mask.shape[1]] = mask
    rle = coco_rle(region_of(mask, x0, y0), width, height)
    assert np.array_equal(decode_coco([rle.height, rle.width], rle.counts), full)


def test_coco_rle_of_long_runs_is_read_back_exactly() -> None:
    mask = np.zeros((1500, 2000), bool)
    mask[40:1400, 30:1900] = True
    mask[700, 900] = False
    rle = coco_rle(region_of(mask), 2000, 1500)
    assert np.array_equal(decode_coco([1500, 2000], rle.counts), mask)


def test_polygon_of_a_rectangle_is_its_corners_in_the_picture() -> None:
    (polygon,) = mask_polygons(region_of(np.ones((20, 30), bool), 100, 50))
    assert set(polygon) == {(100, 50), (129, 50), (129, 69), (100, 69)}


def test_polygons_cover_the_mask_they_came_from() -> None:
    mask = np.zeros((200, 300), np.uint8)
    cv2.ellipse(mask, (120, 100), (90, 60), 25, 0, 360, 1, -1)
    cv2.circle(mask, (260, 160), 20, 1, -1)
    drawn = np.zeros_like(mask)
    polygons = mask_polygons(region_of(mask.astype(bool)))
    for polygon in polygons:
        cv2.fillPoly(drawn, [np.array(polygon, np.int32)], 1)
    assert len(polygons) == 2 and len(polygons[0]) < 60
    assert (drawn & mask).sum() / (drawn | mask).sum() > 0.98


@pytest.mark.parametrize(("width", "height"), [(4096, 8), (1024, 3), (25, 2)])
def test_a_long_thin_object_has_the_outline_of_its_corners(width: int, height: int) -> None:
    (polygon,) = mask_polygons(region_of(np.ones((height, width), bool)))
    assert set(polygon) == {(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)}


def test_polygons_are_ordered_by_size_and_specks_left_out() -> None:
    mask = np.zeros((50, 50), bool)
    mask[2:8, 2:8] = True
    mask[20:45, 20:45] = True
    mask[0, 49] = True
    polygons = mask_polygons(region_of(mask))
    assert [min(polygon) for polygon in polygons] == [(20, 20), (2, 2)]


def test_empty_region_has_neither_polygons_nor_runs() -> None:
    empty = MaskRegion(PixelBox(0, 0, 0, 0), np.zeros((0, 0), bool))
    assert mask_polygons(empty) == ()
    assert not decode_coco([4, 5], coco_rle(empty, 5, 4).counts).any()
