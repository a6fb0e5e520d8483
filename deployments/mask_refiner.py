"""Stage: proposed masks to objects worth cutting out, and the plan of their removal.

Owns the serving of `engine.refine`, `engine.lama.inpaint.plan_removal` and the outlines of a preview, and has
the networks look again from nearer where their checkpoint asks for it. CPU work on whole pictures; no network
of its own, no GPU.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.gpu_share import keep_to_share
from deployments.messages import Decoded, Outline, PictureRef, Refined, RefineRequest
from deployments.pictures import PictureReader
from deployments.reports import object_fields, preview_fields
from engine.closer_look import part_to_look_at, prompt_in, seen_closer
from engine.lama.inpaint import plan_removal
from engine.photo import read_mask
from engine.png import encode_png
from engine.priority import compute_in_background
from engine.refine import choose_mask, refine_given_mask, refine_object
from engine.regions import whole_mask
from engine.types import ObjectPrompt, PixelBox, RefineOptions
from settings import Settings
from storage.job_metrics import StageTiming
from storage.open_store import open_store


@serve.deployment
class MaskRefiner:
    """Chooses, cleans, dilates and feathers masks."""

    def __init__(self, settings: Settings, encoder: DeploymentHandle, decoder: DeploymentHandle) -> None:
        keep_to_share(settings)
        compute_in_background()
        self._settings = settings
        self._files = open_store(settings.store_url, settings.work_dir)
        self._pictures = PictureReader(self._files)
        self._encoder, self._decoder = encoder, decoder

    async def read_ahead(self, picture: PictureRef) -> None:
        """Have a picture's pixels here when its first mask comes: reading takes half of refining one object.

        Raises:
            FileMissing: the job was deleted meanwhile.
        """
        await asyncio.to_thread(self._pictures.read, picture)

    async def refine(self, picture: PictureRef, decoded: Decoded, request: RefineRequest) -> Refined:
        """All objects of a job, and which crops to inpaint for them.

        Raises:
            MaskTooSmallError: an object has no mask of useful size; the message names it.
            FileMissing: the job was deleted meanwhile.
        """
        prompts = [
            prompt for index, prompt in enumerate(request.prompts) if index not in request.own_mask_keys
        ]
        closer = await self._closer(picture, decoded, prompts)
        return await asyncio.to_thread(self._refine, picture, closer, request)

    def _refine(self, picture: PictureRef, decoded: Decoded, request: RefineRequest) -> Refined:
        started = time.perf_counter()
        image = self._pictures.read(picture)
        options = RefineOptions(dilate_px=request.dilate_px, feather_px=request.feather_px)
        proposals = iter(decoded.objects)  # the decoder saw only the objects without a mask of their own
        objects = []
        for index, prompt in enumerate(request.prompts):
            if index in request.own_mask_keys:
                mask = read_mask(self._files.get(request.own_mask_keys[index]), image.width, image.height)
                objects.append(refine_given_mask(mask, prompt, image, options, index))
            else:
                objects.append(
                    refine_object(next(proposals), prompt, image, decoded.image_size, options, index)
                )
        plan = plan_removal(
            image,
            objects,
            sizes=self._settings.inpaint_sizes,
            want_each=request.want_each,
            want_full=request.want_full,
        )
        reports = tuple(
            object_fields(index, prompt, refined, image)
            for index, (prompt, refined) in enumerate(zip(request.prompts, objects, strict=True))
        )
        timing = StageTiming.since("refine", started)
        return Refined(tuple(objects), reports, plan, (*decoded.timings, timing))

    async def outline(
        self, picture: PictureRef, decoded: Decoded, prompt: ObjectPrompt, as_png: bool
    ) -> Outline:
        """The mask that `refine` would use for one prompt, as outlines and, if asked for, as a PNG.

        Raises:
            MaskTooSmallError: there is no object at the prompt.
            FileMissing: the job was deleted meanwhile.
        """
        closer = await self._closer(picture, decoded, [prompt])
        return await asyncio.to_thread(self._outline, picture, closer, prompt, as_png)

    async def _closer(self, picture: PictureRef, first: Decoded, prompts: Sequence[ObjectPrompt]) -> Decoded:
        """The same objects, each decoded anew in the part of the picture around it; all at once."""
        if not (first.closer_look and prompts):
            return first
        started = time.perf_counter()
        parts = await asyncio.to_thread(self._parts, picture, first, prompts)
        timing = StageTiming.since("refine", started)
        looks = [self._look(picture, part, prompt) for part, prompt in zip(parts, prompts, strict=True)]
        second = await asyncio.gather(*looks)
        objects = tuple(
            found
            if part is None or answer is None
            else seen_closer(found, answer.objects[0], part, prompt, first.image_size)
            for found, answer, part, prompt in zip(first.objects, second, parts, prompts, strict=True)
        )
        timings = [one for answer in second if answer is not None for one in answer.timings]
        return replace(first, objects=objects, timings=(*first.timings, timing, *timings))

    def _parts(
        self, picture: PictureRef, first: Decoded, prompts: Sequence[ObjectPrompt]
    ) -> list[PixelBox | None]:
        image = self._pictures.read(picture)
        return [
            part_to_look_at(found, prompt, image, first.image_size, first.closer_look)
            for found, prompt in zip(first.objects, prompts, strict=True)
        ]

    async def _look(self, picture: PictureRef, part: PixelBox | None, prompt: ObjectPrompt) -> Decoded | None:
        if part is None:
            return None
        encoded = self._encoder.encode_part.remote(picture, part)
        answer: Decoded = await self._decoder.decode_part.remote(encoded, (prompt_in(part, prompt),))
        return answer

    def _outline(self, picture: PictureRef, decoded: Decoded, prompt: ObjectPrompt, as_png: bool) -> Outline:
        image = self._pictures.read(picture)
        (proposal,) = decoded.objects
        chosen = choose_mask(proposal, prompt, image, decoded.image_size, 0)
        fields = preview_fields(proposal, prompt, chosen, image, decoded.image_size)
        png = encode_png(whole_mask(chosen.mask, image.width, image.height)) if as_png else b""
        return Outline(fields, png)

    async def check_health(self) -> None:
        """Answered on the loop that serves requests, so that a blocked replica is replaced."""
