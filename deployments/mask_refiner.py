"""Stage: proposed masks to objects worth cutting out, and the plan of their removal.

Owns nothing but the serving of `engine.refine`, `engine.lama.inpaint.plan_removal` and the outlines
of a preview. CPU work on whole pictures; no network, no GPU.
"""

from __future__ import annotations

import asyncio
import time

from ray import serve

from deployments.gpu_share import keep_to_share
from deployments.messages import Decoded, Outline, PictureRef, Refined, RefineRequest
from deployments.pictures import PictureReader
from deployments.reports import candidate_fields, object_fields, outline_fields
from engine.encoding import encode_png
from engine.lama.inpaint import plan_removal
from engine.photo import read_mask
from engine.priority import compute_in_background
from engine.refine import refine_given_mask, refine_object
from engine.regions import whole_mask
from engine.types import ObjectPrompt, RefineOptions
from settings import Settings
from storage.job_metrics import StageTiming
from storage.open_store import open_store


@serve.deployment
class MaskRefiner:
    """Chooses, cleans, dilates and feathers masks."""

    def __init__(self, settings: Settings) -> None:
        keep_to_share(settings)
        compute_in_background()
        self._settings = settings
        self._files = open_store(settings.store_url, settings.work_dir)
        self._pictures = PictureReader(self._files)

    async def refine(self, picture: PictureRef, decoded: Decoded, request: RefineRequest) -> Refined:
        """All objects of a job, and which crops to inpaint for them.

        Raises:
            MaskTooSmallError: an object has no mask of useful size; the message names it.
            FileMissing: the job was deleted meanwhile.
        """
        return await asyncio.to_thread(self._refine, picture, decoded, request)

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

    async def outline(self, picture: PictureRef, decoded: Decoded, prompt: ObjectPrompt) -> Outline:
        """The mask that `refine` would use for one prompt, as outlines and as a PNG.

        Raises:
            MaskTooSmallError: there is no object at the prompt.
            FileMissing: the job was deleted meanwhile.
        """
        return await asyncio.to_thread(self._outline, picture, decoded, prompt)

    def _outline(self, picture: PictureRef, decoded: Decoded, prompt: ObjectPrompt) -> Outline:
        image = self._pictures.read(picture)
        (proposal,) = decoded.objects
        chosen = refine_object(proposal, prompt, image, decoded.image_size, RefineOptions(), 0)
        candidates = candidate_fields(proposal, prompt, chosen, image, decoded.image_size)
        return Outline(
            {**outline_fields(chosen, image), "candidates": candidates},
            encode_png(whole_mask(chosen.mask, image.width, image.height)),
        )

    async def check_health(self) -> None:
        """Answered on the loop that serves requests, so that a blocked replica is replaced."""
