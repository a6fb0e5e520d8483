"""One job's way through the DAG.

Owns the order of the stages and what they hand to each other:

    encode -> decode -> refine -+-> write_object (mask, cut-out), each object
                                +-> fill -> write_removal, each object and the whole

The decoder asks the encoder where it has not the picture's embedding; logits, a removal's first crop, masks
and fills go from replica to replica as responses, and are not packed here again. What was not asked for is
not computed.
Knows nothing of queues, leases or tries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ray.serve.handle import DeploymentHandle

from deployments.job_request import SegmentRequest
from deployments.messages import Decoded, PictureRef, Refined, RefineRequest, Written
from engine.types import RemovalPlan
from storage.job_metrics import StageTiming

SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp"}
REFINED_PERCENT, WRITTEN_PERCENT = 30, 98  # of the progress bar: all before and all but the commit

Value = TypeVar("Value")
Report = Callable[[str, int, Mapping[str, str]], Awaitable[None]]  # stage, percent, files so far


@dataclass(frozen=True, slots=True)
class Stages:
    """Bound handles of the DAG's stages."""

    encoder: DeploymentHandle
    decoder: DeploymentHandle
    refiner: DeploymentHandle
    inpainter: DeploymentHandle
    composer: DeploymentHandle


@dataclass(frozen=True, slots=True)
class WalkResult:
    """What a finished walk leaves: files (name -> storage key), the objects, and where the time went."""

    files: Mapping[str, str]
    objects: tuple[Mapping[str, Any], ...]
    timings: tuple[StageTiming, ...]


class JobWalk:
    """Walks one attempt of one job; artifacts go below `folder` in the file store."""

    def __init__(
        self, stages: Stages, picture: PictureRef, request: SegmentRequest, folder: str, report: Report
    ) -> None:
        self._stages = stages
        self._picture = picture
        self._request = request
        self._folder = folder
        self._report = report
        self._files: dict[str, str] = {}
        self._timings: list[StageTiming] = []
        self._open: set[asyncio.Task[Any]] = set()
        self._answer: Any = None  # the refiner's response
        self._first_fill: Any = None  # response of the first crop's run, where something is removed

    async def run(self) -> WalkResult:
        """Run every stage that the request needs.

        Raises:
            Whatever a stage raises, or `report` does (a lost lease): what still runs is then cancelled.
        """
        try:
            # Stages begin before the store is told, which takes as long as its disk.
            segmenting = self._start(self._refined())
            await self._report("segmenting", 5, {})
            refined = await segmenting
            objects = [dict(report) for report in refined.reports]
            await self._write_all(refined, objects)
        finally:
            await self._cancel_open()
        return WalkResult(dict(self._files), tuple(objects), tuple(self._timings))

    async def _refined(self) -> Refined:
        stages, request = self._stages, self._request
        asked = tuple(item.prompt for item in request.objects if item.mask_key is None)
        decoded: Any = Decoded((), 0, ())  # every object brings its own mask
        if asked:
            decoded = stages.decoder.decode.remote(self._picture, asked)
        order = RefineRequest(
            prompts=tuple(item.prompt for item in request.objects),
            own_mask_keys={
                i: item.mask_key for i, item in enumerate(request.objects) if item.mask_key is not None
            },
            dilate_px=request.dilate_px,
            feather_px=request.feather_px,
            want_each="inpainted" in request.outputs,
            want_full="full_inpainted" in request.outputs,
        )
        self._answer = stages.refiner.refine.remote(self._picture, decoded, order)
        if request.removes:
            # A removal has a crop at least: the first goes from refiner to inpainter, not through here.
            self._first_fill = stages.inpainter.fill_first.remote(self._answer)
        refined: Refined = await self._answer
        return refined

    async def _write_all(self, refined: Refined, objects: list[dict[str, Any]]) -> None:
        self._timings.extend(refined.timings)
        stage = "inpainting" if refined.plan.tasks else "cutting out"
        fills = self._fills(refined)
        # Crops are on their way meanwhile: to pack the other messages beside them takes their sender's time.
        await self._report(stage, REFINED_PERCENT, {})
        writing = [*self._removals(refined, fills), *self._cut_outs(refined, objects)]
        share = (WRITTEN_PERCENT - REFINED_PERCENT) / max(len(writing), 1)
        for done, step in enumerate(asyncio.as_completed(writing), start=1):
            written = await step
            self._files.update(written.files)
            self._timings.extend(written.timings)
            if done < len(writing):  # after the last one the commit says it all
                await self._report(stage, int(REFINED_PERCENT + share * done), self._files)

    def _fills(self, refined: Refined) -> list[Any]:
        """A response for each of the plan's tasks."""
        under_way = [] if self._first_fill is None else [self._first_fill]
        others = refined.plan.tasks[len(under_way) :]
        return [*under_way, *(self._stages.inpainter.fill.remote(task) for task in others)]

    def _cut_outs(self, refined: Refined, objects: list[dict[str, Any]]) -> list[asyncio.Task[Written]]:
        want_mask, want_cropped = "masks" in self._request.outputs, "cropped" in self._request.outputs
        if not (want_mask or want_cropped):
            return []

        async def write(index: int) -> Written:
            written: Written = await self._stages.composer.write_object.remote(
                self._picture, self._folder, index, self._answer, want_mask, want_cropped
            )
            objects[index].update(written.report)
            return written

        return [self._start(write(index)) for index in range(len(refined.objects))]

    def _removals(self, refined: Refined, fills: Sequence[Any]) -> list[asyncio.Task[Written]]:
        timed: set[int] = set()

        async def write(composite: Composite) -> Written:
            written: Written = await self._stages.composer.write_removal.remote(
                self._picture,
                self._folder,
                composite.names,
                composite.index,
                self._answer,
                *(fills[task] for task in composite.tasks),
            )
            for task, timings in zip(composite.tasks, written.fill_timings, strict=True):
                if task not in timed:  # a fill may be part of two pictures; its seconds count once
                    timed.add(task)
                    self._timings.extend(timings)
            return written

        suffix = SUFFIXES[self._request.format]
        return [self._start(write(composite)) for composite in composites_of(refined.plan, suffix)]

    def _start(self, work: Coroutine[Any, Any, Value]) -> asyncio.Task[Value]:
        task = asyncio.create_task(work)
        self._open.add(task)
        return task

    async def _cancel_open(self) -> None:
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Composite:
    """One picture to write: under which names, without which object (None: without all), of which fills."""

    names: tuple[str, ...]
    index: int | None
    tasks: tuple[int, ...]


def composites_of(plan: RemovalPlan, suffix: str) -> list[Composite]:
    """The pictures that a plan makes; those that come out the same are one, written under both names."""
    composites = [
        Composite((f"inpainted_{index}.{suffix}",), index, (task,))
        for index, task in enumerate(plan.per_object)
    ]
    if plan.full:
        full = Composite((f"full_inpainted.{suffix}",), None, plan.full)
        if len(plan.per_object) == 1:
            return [replace(composites[0], names=composites[0].names + full.names)]
        composites.append(full)
    return composites
