import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.clean_up import clean_mask

masks = hnp.arrays(np.bool_, st.tuples(st.integers(1, 16), st.integers(1, 16)))


def labelled(mask: np.ndarray, small: int) -> np.ndarray:
    """The same rule by labelling every pixel: slow and plain."""
    padded = np.pad(mask, 1).astype(np.uint8)
    _, labels = cv2.connectedComponents(1 - padded, connectivity=4)
    for label in set(np.unique(labels[padded == 0])) - {labels[0, 0]}:
        hole = labels == label
        # A hole is measured with what floats in it.
        count, rest = cv2.connectedComponents((~hole).astype(np.uint8), connectivity=8)
        inside = [rest == other for other in range(1, count) if rest[0, 0] != other]
        if hole.sum() + sum(int(part.sum()) for part in inside) < small:
            padded[hole] = 1
    count, labels = cv2.connectedComponents(padded, connectivity=8)
    areas = []
    for label in range(1, count):
        _, outside = cv2.connectedComponents((labels != label).astype(np.uint8), connectivity=4)
        areas.append(int((outside != outside[0, 0]).sum()))
    keep = [label + 1 for label, area in enumerate(areas) if area >= small]
    if areas and not keep:
        keep = [int(np.argmax(areas)) + 1]
    return np.isin(labels, keep)[1:-1, 1:-1] & (padded[1:-1, 1:-1] > 0)


@settings(max_examples=150, deadline=None)
@given(masks, st.integers(1, 30))
def test_contours_give_what_labelling_gives(mask: np.ndarray, small: int) -> None:
    expected, cleaned = labelled(mask, small), clean_mask(mask, small)
    if not np.array_equal(cleaned, expected):
        # The largest of several equal islands may be any of them.
        assert cleaned.any() and expected.any() and cv2.connectedComponents(cleaned.astype(np.uint8))[0] == 2


@settings(max_examples=100, deadline=None)
@given(masks, st.integers(1, 30))
def test_cleaning_keeps_the_argument_and_is_stable(mask: np.ndarray, small: int) -> None:
    mask.flags.writeable = False
    before = mask.copy()
    cleaned = clean_mask(mask, small)
    assert np.array_equal(mask, before)
    assert cleaned.any() == mask.any()
    assert np.array_equal(clean_mask(cleaned, small), cleaned)


@settings(max_examples=100, deadline=None)
@given(masks, st.integers(1, 300), st.integers(0, 15), st.integers(0, 15))
def test_what_is_tapped_stays(mask: np.ndarray, small: int, x: int, y: int) -> None:
    cleaned = clean_mask(mask, small, wanted=[(x, y)])
    if y < mask.shape[0] and x < mask.shape[1] and mask[y, x]:
        assert cleaned[y, x]


def disc_with_hole_and_speck() -> np.ndarray:
    mask = np.zeros((100, 100), np.uint8)
    cv2.circle(mask, (50, 50), 30, 1, -1)
    cv2.circle(mask, (50, 50), 3, 0, -1)
    cv2.circle(mask, (90, 10), 3, 1, -1)
    return mask.astype(bool)


def test_small_hole_is_filled_and_small_island_dropped() -> None:
    cleaned = clean_mask(disc_with_hole_and_speck(), 60)
    assert cleaned[50, 50] and not cleaned[10, 90] and cleaned[50, 25]


def test_hole_in_an_island_in_a_hole_is_filled_with_it() -> None:
    mask = np.ones((40, 40), bool)
    for side, value in ((10, False), (7, True), (3, False)):
        mask[20 - side // 2 : 21 + side // 2, 20 - side // 2 : 21 + side // 2] = value
    assert clean_mask(mask, 200).all()


def test_large_hole_and_large_island_stay() -> None:
    mask = disc_with_hole_and_speck()
    assert np.array_equal(clean_mask(mask, 20), mask)


def test_hole_around_a_point_that_is_not_the_object_stays_open() -> None:
    assert not clean_mask(disc_with_hole_and_speck(), 60, unwanted=[(50, 50)])[50, 50]


def test_large_island_under_a_point_that_is_not_the_object_goes() -> None:
    mask = np.zeros((60, 200), bool)
    mask[10:50, 10:50] = True
    mask[5:55, 100:190] = True
    cleaned = clean_mask(mask, 20, unwanted=[(150, 30)])
    assert cleaned[30, 30] and not cleaned[:, 100:].any()


def test_mask_is_not_emptied_by_a_point_that_is_not_the_object() -> None:
    mask = np.zeros((60, 60), bool)
    mask[10:50, 10:50] = True
    assert clean_mask(mask, 20, unwanted=[(30, 30)]).any()


def test_points_outside_of_the_window_are_ignored() -> None:
    mask = disc_with_hole_and_speck()
    points = [(-1, 5), (100, 5), (5, 100)]
    assert np.array_equal(clean_mask(mask, 60, points, points), clean_mask(mask, 60))


def test_empty_mask_stays_empty() -> None:
    assert not clean_mask(np.zeros((9, 9), bool), 60).any()
