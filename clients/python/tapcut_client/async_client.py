"""The client for asyncio: the calls of `Client`, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from tapcut_client import operations
from tapcut_client.calls import (
    DEFAULT_TIMEOUT,
    address_of,
    arguments_of,
    head_of,
    headers_for,
    objects_of,
)
from tapcut_client.defaults import DEFAULT_URL
from tapcut_client.download import MemorySink, download
from tapcut_client.file_sink import FileSink
from tapcut_client.models import Box, ObjectPrompt, Point, Preview, Status, Upload
from tapcut_client.operations import OnStatus
from tapcut_client.pictures import PictureLike, Progress, picture_of
from tapcut_client.process import Result, process
from tapcut_client.retry import RetryPolicy
from tapcut_client.steps import Operation, Reply, Send, Step

Answer = TypeVar("Answer")


class AsyncClient:
    """A tapcut service. An asynchronous context manager.

    Every call may raise `ConnectionFailed` and the `ApiError`s; what is refused for now (429, 503) or
    cut off is sent again by `retry`. `transport` takes the place of the network (tests, proxies).
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout: httpx.Timeout = DEFAULT_TIMEOUT,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  frozen
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retry = retry
        self._timeout = timeout
        self._http = httpx.AsyncClient(
            base_url=address_of(base_url), headers=headers_for(api_key), timeout=timeout, transport=transport
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def upload(
        self,
        picture: PictureLike,
        *,
        on_progress: Progress | None = None,
        idempotency_key: str | None = None,
    ) -> Upload:
        """Register a picture: a path, bytes, an open file, a Pillow image or a uint8 array [H, W, 3] RGB.

        Raises:
            InvalidPicture: the service cannot work on it.
        """
        return await self._run(
            operations.upload(self._retry, picture_of(picture), on_progress, idempotency_key)
        )

    async def segment(
        self,
        job_id: str,
        points: Sequence[Point] | None = None,
        *,
        objects: Sequence[ObjectPrompt] | None = None,
        normalized: bool = False,
        outputs: Sequence[str] | None = None,
        dilate_px: int | None = None,
        feather_px: int | None = None,
        format: str = "png",
        callback_url: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Queue the job: `points` are one tap an object, `objects` whole prompts. See `wait`.

        Raises:
            Conflict: it is being processed already.
            InvalidRequest: a prompt does not fit the picture.
        """
        await self._run(
            operations.segment(
                self._retry,
                job_id,
                objects_of(points, objects),
                normalized=normalized,
                outputs=outputs,
                dilate_px=dilate_px,
                feather_px=feather_px,
                format=format,
                callback_url=callback_url,
                idempotency_key=idempotency_key,
            )
        )

    async def preview(
        self,
        job_id: str,
        points: Sequence[Point] = (),
        *,
        labels: Sequence[int] | None = None,
        box: Box | None = None,
        normalized: bool = False,
    ) -> Preview:
        """The mask for one prompt, at once; coordinates in pixels of `original.png`, or 0..1."""
        return await self._run(operations.preview(self._retry, job_id, points, labels, box, normalized))

    async def status(self, job_id: str) -> Status:
        """The job as it is now."""
        return await self._run(operations.status(self._retry, job_id))

    async def wait(
        self, job_id: str, *, timeout_s: float | None = None, on_status: OnStatus | None = None
    ) -> Status:
        """Follow the job to its end; `on_status` hears of every change.

        Raises:
            JobFailed: it ended as `error`.
            WaitTimeout: it has not ended after `timeout_s`.
        """
        return await self._run(operations.wait(self._retry, job_id, timeout_s, on_status))

    async def download(self, job_id: str, filename: str, *, on_progress: Progress | None = None) -> bytes:
        """One artifact's bytes; a transfer that breaks off goes on where it was."""
        sink = MemorySink()
        await self._run(download(self._retry, job_id, filename, sink, on_progress))
        return sink.data()

    async def download_to(
        self, job_id: str, filename: str, path: Path | str, *, on_progress: Progress | None = None
    ) -> Path:
        """One artifact into a file, which appears when it is whole.

        A transfer that breaks off, also because this process is killed, leaves `.NAME.part` beside it; the
        next call goes on after it if the service's file is still the same.
        """
        with FileSink(path, f"{job_id}/{filename}") as sink:
            await self._run(download(self._retry, job_id, filename, sink, on_progress))
            return sink.finish()

    async def cleanup(self, job_id: str) -> bool:
        """Purge the job and its files; false when there was none."""
        return await self._run(operations.cleanup(self._retry, job_id))

    async def health(self) -> dict[str, Any]:
        """What the service says of itself, also while it is not ready."""
        return await self._run(operations.health())

    async def process(
        self,
        picture: PictureLike,
        objects: Sequence[ObjectPrompt],
        outputs: Sequence[str],
        *,
        normalized: bool = False,
        dilate_px: int | None = None,
        feather_px: int | None = None,
        format: str = "png",
        timeout_s: float | None = None,
        on_status: OnStatus | None = None,
        keep_job: bool = False,
    ) -> Result:
        """A whole job: upload, segment, wait, download; cleaned up at the end unless `keep_job`.

        `objects` are in pixels of `picture`, also where the service makes it smaller; 0..1 if `normalized`.

        Raises:
            JobFailed: it ended as `error`.
            WaitTimeout: it has not ended after `timeout_s`.
        """
        return await self._run(
            process(
                self._retry,
                picture_of(picture),
                objects,
                outputs,
                normalized=normalized,
                dilate_px=dilate_px,
                feather_px=feather_px,
                format=format,
                timeout_s=timeout_s,
                on_status=on_status,
                keep_job=keep_job,
            )
        )

    async def remove(
        self,
        picture: PictureLike,
        points: Sequence[Point] | None = None,
        *,
        objects: Sequence[ObjectPrompt] | None = None,
        normalized: bool = False,
        dilate_px: int | None = None,
        feather_px: int | None = None,
        format: str = "png",
        timeout_s: float | None = None,
        on_status: OnStatus | None = None,
    ) -> Result:
        """The picture without the tapped objects: the result's file `full_inpainted.png` (or .jpg, .webp).

        See `process` for the coordinates and the errors.
        """
        return await self.process(
            picture,
            objects_of(points, objects),
            ("full_inpainted",),
            normalized=normalized,
            dilate_px=dilate_px,
            feather_px=feather_px,
            format=format,
            timeout_s=timeout_s,
            on_status=on_status,
        )

    async def extract(
        self,
        picture: PictureLike,
        points: Sequence[Point] | None = None,
        *,
        objects: Sequence[ObjectPrompt] | None = None,
        normalized: bool = False,
        timeout_s: float | None = None,
        on_status: OnStatus | None = None,
    ) -> Result:
        """The tapped objects with transparent background: the result's files `cropped_0.png`, ...

        See `process` for the coordinates and the errors.
        """
        return await self.process(
            picture,
            objects_of(points, objects),
            ("masks", "cropped"),
            normalized=normalized,
            timeout_s=timeout_s,
            on_status=on_status,
        )

    async def _run(self, operation: Operation[Answer]) -> Answer:
        try:
            step = next(operation)
            while True:
                try:
                    answer = await self._carry_out(step)
                except BaseException as error:
                    # Also an interruption: the operation may have something to clean up first.
                    step = operation.throw(error)
                else:
                    step = operation.send(answer)
        except StopIteration as end:
            result: Answer = end.value
            return result

    async def _carry_out(self, step: Step) -> Reply | None:
        if not isinstance(step, Send):
            await asyncio.sleep(step.seconds)
            return None
        async with self._http.stream(**arguments_of(step, self._timeout)) as response:
            reply = head_of(response)
            if step.on_chunk is None or reply.status >= 300:
                return Reply(reply.status, reply.headers, await response.aread())
            if step.on_reply is not None:
                step.on_reply(reply)
            async for chunk in response.aiter_bytes():
                if step.on_chunk(chunk):
                    break
            return reply
