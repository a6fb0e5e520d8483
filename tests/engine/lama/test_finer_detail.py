"""A large hole's fill is as sharp as the picture around it, and smooth where that is smooth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.lama.finer_detail import with_finer_detail
from engine.lama.inpaint import composite, plan_removal
from engine.types import Fill, FillTask, PixelBox, RefinedObject, RgbImage
from tests.engine.scenes import object_at

WALL = PixelBox(300, 300, 900, 900)


def gravel(width: int, height: int) -> NDArray[np.uint8]:
    """Grey grain of about two pixels."""
    grain = np.random.default_rng(4).normal(0, 40, (height, width)).astype(np.float32)
    grain = 128 + cv2.GaussianBlur(grain, (0, 0), 0.8)
    return np.repeat(np.clip(grain, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def removed(image: RgbImage, box: PixelBox) -> tuple[FillTask, RefinedObject]:
    item = object_at(box, image)
    task = plan_removal(image, [item], want_each=False).tasks[0]
    assert task.scale < 1
    return task, item


def energy(pixels: NDArray[np.uint8]) -> float:
    grey = pixels[..., 0].astype(np.float32)
    return float(np.square(np.diff(grey, axis=0)).mean() + np.square(np.diff(grey, axis=1)).mean())


def test_a_large_hole_in_gravel_is_as_sharp_as_the_gravel() -> None:
    image = RgbImage(gravel(1200, 1200))
    task, item = removed(image, WALL)
    # A fill that is right in all that its size can show.
    enlarged = cv2.resize(task.pixels, (task.crop.width, task.crop.height), interpolation=cv2.INTER_CUBIC)
    fill = composite(image, [(task, Fill(task.pixels), item.hole)]).pixels[WALL.slices]
    assert energy(enlarged) < 0.4 * energy(image.pixels)
    assert 0.6 < energy(fill) / energy(image.pixels[WALL.slices]) < 1.4
    assert abs(fill.mean() - image.pixels.mean()) < 2


def test_sky_stays_smooth_beside_gravel_of_its_colour() -> None:
    pixels = gravel(1200, 1200)
    pixels[:600] = 128
    image = RgbImage(pixels)
    task, item = removed(image, WALL)
    fill = composite(image, [(task, Fill(task.pixels), item.hole)]).pixels
    sky, ground = fill[320:540, 320:880], fill[660:880, 320:880]
    assert energy(sky) < 0.01 * energy(image.pixels[660:880, 320:880])
    assert energy(ground) > 0.6 * energy(image.pixels[660:880, 320:880])


def test_nothing_of_the_object_comes_back() -> None:
    image = RgbImage(gravel(1200, 1200))
    task, item = removed(image, WALL)
    fill = Fill(np.full_like(task.pixels, 128))
    painted = image.pixels.copy()
    painted[WALL.slices] = np.random.default_rng(1).integers(0, 256, (600, 600, 3), np.uint8)
    answers = [composite(one, [(task, fill, item.hole)]).pixels for one in (image, RgbImage(painted))]
    assert np.array_equal(answers[0][WALL.slices], answers[1][WALL.slices])


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (70, 90)])
@pytest.mark.parametrize("known", [False, True])
def test_where_nothing_is_known_or_nothing_open_the_fill_stays(shape: tuple[int, int], known: bool) -> None:
    height, width = shape
    enlarged = np.random.default_rng(2).integers(0, 256, (height * 3, width * 3, 3), np.uint8)
    picture = np.zeros_like(enlarged)
    scaled = np.full((height, width, 3), 7, np.uint8)
    before = enlarged.copy()
    after = with_finer_detail(enlarged, picture, scaled, np.full(shape, not known))
    assert np.array_equal(after, before)
