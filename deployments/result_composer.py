"""Stage: refined objects and fills to the files that a client downloads.

Owns nothing but the serving of `engine.cutout`, `engine.lama.inpaint.composite` and the encoding of
results. Each file is stored as soon as it is made; until the job commits, it belongs to the attempt.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from ray import serve

from deployments.gpu_share import keep_to_share
from deployments.messages import Filled, PictureRef, Refined, Written
from deployments.pictures import PictureReader
from deployments.reports import crop_fields
from engine.cutout import cut_out
from engine.encoding import encode_jpeg, encode_webp
from engine.lama.inpaint import composite
from engine.png import encode_png
from engine.priority import compute_in_background
from engine.regions import whole_mask
from settings import Settings
from storage.job_metrics import StageTiming
from storage.open_store import open_store

PADDING_PX = 8  # around a cut-out, so that no editor clips its soft edge
ENCODERS: Mapping[str, Callable[..., bytes]] = {".png": encode_png, ".jpg": encode_jpeg, ".webp": encode_webp}


@serve.deployment
class ResultComposer:
    """Cuts out, composites, encodes and stores."""

    def __init__(self, settings: Settings) -> None:
        keep_to_share(settings)
        compute_in_background()
        self._files = open_store(settings.store_url, settings.work_dir)
        self._pictures = PictureReader(self._files)

    async def write_object(
        self,
        picture: PictureRef,
        folder: str,
        index: int,
        refined: Refined,
        want_mask: bool,
        want_cropped: bool,
    ) -> Written:
        """Store `mask_{index}.png` and `cropped_{index}.png` of the refiner's object `index` below `folder`.

        Raises:
            FileMissing: the job was deleted meanwhile.
            StoreFull: no room for the files.
        """
        return await asyncio.to_thread(
            self._write_object, picture, folder, index, refined, want_mask, want_cropped
        )

    def _write_object(
        self,
        picture: PictureRef,
        folder: str,
        index: int,
        refined: Refined,
        want_mask: bool,
        want_cropped: bool,
    ) -> Written:
        started = time.perf_counter()
        image, item = self._pictures.read(picture), refined.objects[index]
        files, report = {}, {}
        if want_mask:
            name = f"mask_{index}.png"
            files[name] = self._put(
                folder, name, encode_png(whole_mask(item.mask, image.width, image.height))
            )
        if want_cropped:
            name = f"cropped_{index}.png"
            cut = cut_out(image, item, PADDING_PX)
            files[name] = self._put(folder, name, encode_png(cut.rgba))
            report = crop_fields(cut)
        return Written(files, report, (StageTiming.since("cut_out", started),))

    async def write_removal(
        self,
        picture: PictureRef,
        folder: str,
        names: tuple[str, ...],
        index: int | None,
        refined: Refined,
        *fills: Filled,
    ) -> Written:
        """Composite fills into the picture and store it once for all of `names`.

        Object `index` of the refiner's is removed, by the one fill of its task; None: all are, by a fill for
        each task of `RemovalPlan.full`.

        Raises:
            FileMissing: the job was deleted meanwhile.
            StoreFull: no room for the files.
        """
        return await asyncio.to_thread(self._write_removal, picture, folder, names, index, refined, fills)

    def _write_removal(
        self,
        picture: PictureRef,
        folder: str,
        names: tuple[str, ...],
        index: int | None,
        refined: Refined,
        fills: tuple[Filled, ...],
    ) -> Written:
        started = time.perf_counter()
        image = self._pictures.read(picture)
        plan = refined.plan
        tasks = plan.full if index is None else (plan.per_object[index],)
        holes = plan.full_holes if index is None else (refined.objects[index].hole,)
        parts = [
            (plan.tasks[task], filled.fill, hole)
            for task, filled, hole in zip(tasks, fills, holes, strict=True)
        ]
        result = composite(image, parts)
        suffix = "." + names[0].rpartition(".")[2]
        data = ENCODERS[suffix](result.pixels)
        files = dict.fromkeys(names, self._put(folder, names[0], data))  # one file serves them all
        timing = StageTiming.since("compose", started)
        return Written(files, {}, (timing,), tuple(filled.timings for filled in fills))

    def _put(self, folder: str, name: str, data: bytes) -> str:
        key = f"{folder}/{name}"
        self._files.put(key, data)
        return key

    async def check_health(self) -> None:
        """Answered on the loop that serves requests, so that a blocked replica is replaced."""
