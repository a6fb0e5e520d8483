"""Pictures drawn for trying LaMa on: always the same, of many colours, with a hole inside."""

from __future__ import annotations

import numpy as np

from engine.lama.calibration import calibration_examples, draw_tasks


def test_pictures_are_the_same_each_time_and_others_by_number() -> None:
    first, again = draw_tasks(2, 128, first=3), draw_tasks(1, 128, first=4)
    np.testing.assert_array_equal(first[1].pixels, again[0].pixels)
    np.testing.assert_array_equal(first[1].hole, again[0].hole)
    assert (first[0].pixels != first[1].pixels).mean() > 0.9


def test_pictures_have_edges_textures_and_all_levels() -> None:
    pixels = np.stack([task.pixels for task in draw_tasks(6, 128, first=0)])
    assert pixels.min() == 0
    assert pixels.max() == 255
    steps = np.abs(np.diff(pixels.astype(np.float32), axis=2))
    # As in photographs: most neighbours are alike, some are far apart.
    assert np.median(steps) < 16
    assert np.quantile(steps, 0.98) > 60


def test_holes_are_part_of_a_picture() -> None:
    for task in draw_tasks(20, 64, first=0):
        assert task.hole.shape == (64, 64)
        assert 0 < task.hole.mean() < 0.3


def test_examples_are_inputs_of_the_network() -> None:
    for picture, hole in calibration_examples():
        assert (picture.shape, hole.shape) == ((1, 3, 256, 256), (1, 1, 256, 256))
        assert picture.dtype == hole.dtype == np.float32
        assert 0 <= picture.min() < picture.max() <= 1
        assert set(np.unique(hole)) == {0, 1}
