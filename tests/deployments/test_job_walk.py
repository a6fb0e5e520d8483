from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest
from ray.serve.handle import DeploymentHandle

from deployments.job_request import ObjectRequest, SegmentRequest
from deployments.job_walk import Composite, JobWalk, Stages, composites_of
from deployments.messages import Decoded, PictureRef, Refined, Written
from engine.types import FillTask, MaskRegion, PixelBox, RefinedObject, RemovalPlan, WeightRegion

BOX = PixelBox(0, 0, 4, 4)
REMOVED, CUT_OUT = ("inpainted", "full_inpainted"), ("masks", "cropped")


def an_object() -> RefinedObject:
    weights = WeightRegion(BOX, np.full((4, 4), 255, np.uint8))
    return RefinedObject(MaskRegion(BOX, np.ones((4, 4), bool)), weights, weights, 0.9, 0.9, 16, BOX, ())


def plan_of(per_object: tuple[int, ...], full: tuple[int, ...]) -> RemovalPlan:
    return RemovalPlan((), per_object, full, tuple(an_object().hole for _ in full))


def names(composites: list[Composite]) -> list[tuple[str, ...]]:
    return [composite.names for composite in composites]


def test_one_object_is_composited_once_and_named_twice() -> None:
    assert names(composites_of(plan_of((0,), (0,)), "png")) == [("inpainted_0.png", "full_inpainted.png")]


def test_several_objects_have_a_picture_each_and_one_for_all() -> None:
    composites = composites_of(plan_of((0, 1), (0, 1)), "jpg")
    assert names(composites) == [("inpainted_0.jpg",), ("inpainted_1.jpg",), ("full_inpainted.jpg",)]
    assert [composite.tasks for composite in composites] == [(0,), (1,), (0, 1)]
    assert [composite.index for composite in composites] == [0, 1, None]


def test_only_what_was_asked_for_is_composited() -> None:
    assert names(composites_of(plan_of((), (0,)), "png")) == [("full_inpainted.png",)]
    assert names(composites_of(plan_of((0,), ()), "png")) == [("inpainted_0.png",)]
    assert composites_of(plan_of((), ()), "png") == []


def a_task() -> FillTask:
    return FillTask(BOX, 1.0, np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), bool))


class CalledStage:
    """A handle whose calls are answered by `answers` and noted in `calls`, as `name` and arguments."""

    def __init__(self, calls: list[tuple[str, tuple[Any, ...]]], **answers: Callable[..., Any]) -> None:
        self._calls, self._answers = calls, answers

    def __getattr__(self, name: str) -> Any:
        calls, answer = self._calls, self._answers[name]

        class Method:
            @staticmethod
            def remote(*asked: Any) -> asyncio.Future[Any]:
                calls.append((name, asked))
                future = asyncio.get_running_loop().create_future()
                future.set_result(answer(*asked))
                return future

        return Method()


def calls_of_a_walk(
    outputs: tuple[str, ...], tasks: tuple[FillTask, ...]
) -> list[tuple[str, tuple[Any, ...]]]:
    """Which calls a walk makes for as many objects as tasks, each removed by its own."""
    calls: list[tuple[str, tuple[Any, ...]]] = []
    count = len(tasks)
    removes = set(outputs) & set(REMOVED)
    plan = RemovalPlan(
        tasks, tuple(range(count)), tuple(range(count)), tuple(an_object().hole for _ in tasks)
    )
    answer = Refined(
        tuple(an_object() for _ in tasks),
        tuple({} for _ in tasks),
        plan if removes else RemovalPlan((), (), (), ()),
        (),
    )

    async def walk() -> None:
        handles: dict[str, Any] = {
            "encoder": CalledStage(calls),
            "decoder": CalledStage(calls, decode=lambda *_: Decoded((), 64, ())),
            "refiner": CalledStage(calls, refine=lambda *_: answer),
            "inpainter": CalledStage(calls, fill=lambda task: task, fill_first=lambda _: "first"),
            "composer": CalledStage(
                calls,
                write_object=lambda *_: Written({}, {}, ()),
                write_removal=lambda picture, folder, names, index, refined, *fills: Written(
                    {}, {}, (), tuple(() for _ in fills)
                ),
            ),
        }
        stages = Stages(**{name: cast(DeploymentHandle, handle) for name, handle in handles.items()})
        objects = tuple(ObjectRequest(((1.0, 1.0),), (1,), None, None) for _ in tasks)
        request = SegmentRequest(objects, outputs, None, None, "png")
        picture = PictureRef("job", "job/original.png", "digest", 8, 8)

        async def report(stage: str, progress: int, files: Mapping[str, str]) -> None:
            pass

        await JobWalk(stages, picture, request, "job/a1", report).run()

    asyncio.run(walk())
    return calls


@pytest.mark.parametrize("count", [1, 3])
def test_each_crop_is_inpainted_once_and_the_first_as_the_refiner_answers(count: int) -> None:
    tasks = tuple(a_task() for _ in range(count))
    calls = calls_of_a_walk((*REMOVED, *CUT_OUT), tasks)
    names = [name for name, _ in calls]
    assert names.count("fill_first") == 1
    assert names.index("fill_first") == names.index("refine") + 1  # not after its answer was seen here
    assert [asked[0] for name, asked in calls if name == "fill"] == list(tasks[1:])


def test_cutting_out_asks_the_inpainter_nothing() -> None:
    names = {name for name, _ in calls_of_a_walk(CUT_OUT, (a_task(), a_task()))}
    assert names == {"decode", "refine", "write_object"}
