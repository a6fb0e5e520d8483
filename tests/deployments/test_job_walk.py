from __future__ import annotations

import numpy as np

from deployments.job_walk import Composite, composites_of
from deployments.messages import Refined
from engine.types import MaskRegion, PixelBox, RefinedObject, RemovalPlan, WeightRegion

BOX = PixelBox(0, 0, 4, 4)


def an_object() -> RefinedObject:
    weights = WeightRegion(BOX, np.full((4, 4), 255, np.uint8))
    return RefinedObject(MaskRegion(BOX, np.ones((4, 4), bool)), weights, weights, 0.9, 0.9, 16, BOX, ())


def refined(count: int, per_object: tuple[int, ...], full: tuple[int, ...]) -> Refined:
    objects = tuple(an_object() for _ in range(count))
    plan = RemovalPlan((), per_object, full, tuple(objects[0].hole for _ in full))
    return Refined(objects, (), plan, ())


def names(composites: list[Composite]) -> list[tuple[str, ...]]:
    return [composite.names for composite in composites]


def test_one_object_is_composited_once_and_named_twice() -> None:
    assert names(composites_of(refined(1, (0,), (0,)), "png")) == [("inpainted_0.png", "full_inpainted.png")]


def test_several_objects_have_a_picture_each_and_one_for_all() -> None:
    composites = composites_of(refined(2, (0, 1), (0, 1)), "jpg")
    assert names(composites) == [("inpainted_0.jpg",), ("inpainted_1.jpg",), ("full_inpainted.jpg",)]
    assert [composite.tasks for composite in composites] == [(0,), (1,), (0, 1)]


def test_only_what_was_asked_for_is_composited() -> None:
    assert names(composites_of(refined(2, (), (0,)), "png")) == [("full_inpainted.png",)]
    assert names(composites_of(refined(1, (0,), ()), "png")) == [("inpainted_0.png",)]
    assert composites_of(refined(2, (), ()), "png") == []
