"""A whole job in one call: upload, segment, wait, fetch the results, clean up.

Owns that order and the result's shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tapcut_client import operations
from tapcut_client.download import MemorySink, download
from tapcut_client.errors import TapcutError
from tapcut_client.models import ObjectPrompt, Status, Upload
from tapcut_client.operations import OnStatus
from tapcut_client.pictures import Picture, to_array, to_image
from tapcut_client.retry import RetryPolicy
from tapcut_client.steps import Operation

if TYPE_CHECKING:
    import PIL.Image

    from tapcut_client.pictures import Pixels

BRIEF = RetryPolicy(tries=3, total_s=5)


@dataclass(frozen=True, slots=True)
class Result:
    """A finished job: its files by the service's names, its last status, and what was uploaded."""

    upload: Upload
    status: Status
    files: Mapping[str, bytes]

    def image(self, name: str) -> PIL.Image.Image:
        """One file as a Pillow image."""
        return to_image(self.files[name])

    def array(self, name: str) -> Pixels:
        """One file as a uint8 array, [H, W, 3 or 4] or [H, W]."""
        return to_array(self.files[name])


def process(
    policy: RetryPolicy,
    picture: Picture,
    objects: Sequence[ObjectPrompt],
    outputs: Sequence[str],
    *,
    normalized: bool,
    dilate_px: int | None,
    feather_px: int | None,
    format: str,
    timeout_s: float | None,
    on_status: OnStatus | None,
    keep_job: bool,
) -> Operation[Result]:
    """Run one picture through the service; the job is cleaned up at the end unless `keep_job`.

    `objects` are in pixels of `picture`, also where the service makes it smaller.
    """
    job = yield from operations.upload(policy, picture, None, None)
    try:
        yield from operations.segment(
            policy,
            job.job_id,
            objects if normalized else job.in_frame(objects),
            normalized=normalized,
            outputs=outputs,
            dilate_px=dilate_px,
            feather_px=feather_px,
            format=format,
            callback_url=None,
            idempotency_key=None,
        )
        status = yield from operations.wait(policy, job.job_id, timeout_s, on_status)
        files = {}
        for name in status.files:
            if name not in ("original.png", "result.json"):
                sink = MemorySink()
                yield from download(policy, job.job_id, name, sink, None)
                files[name] = sink.data()
    finally:
        if not keep_job:
            with suppress(TapcutError):  # the job expires by itself, and no error is hidden by this one
                yield from operations.cleanup(BRIEF, job.job_id)
    return Result(job, status, files)
