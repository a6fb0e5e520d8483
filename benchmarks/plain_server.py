"""The brief's own architecture from our networks, to measure the service against.

One FastAPI process; a `threading.Thread` per job; eager fp32 torch with torch's own number of threads;
MobileSAM's encoder once a job, LaMa on the whole frame once per object and once for all objects
together; masks dilated and blurred; every result a PNG on disk; jobs in a dict. Networks are loaded
once and warmed up at the start. Nothing is cached between jobs, nothing is queued. Owns no figure:
each job tells the seconds of its steps in `/status`, and `side_by_side.py` measures from outside.

    python -m benchmarks.plain_server --port 8601 --mobile-sam FILE --lama FILE --work-dir DIR
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import uvicorn
from fastapi import Body, FastAPI, HTTPException, UploadFile
from fastapi.responses import FileResponse
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from engine.checkpoint_formats import read_tensors
from engine.lama.network import LamaNetwork
from engine.mobile_sam.network import MobileSamDecoder, MobileSamEncoder
from engine.mobile_sam.segment import PictureEncoder, PromptDecoder, upscale_logits
from engine.types import ImageEmbedding, ObjectPrompt, RgbImage

log = logging.getLogger("plain_server")

DILATE_PX, BLUR_PX = 15, 21  # kernel sides
PAD_TO = 8  # what LaMa's downsampling needs
PADDING_PX = 10  # around a cut-out
LEAST_AREA_PX = 50


class Networks:
    """Both networks in eager fp32 torch."""

    def __init__(self, mobile_sam: Path, lama: Path) -> None:
        tensors, metadata = read_tensors(mobile_sam)
        encoder = MobileSamEncoder.from_tensors(tensors, metadata)
        decoder = MobileSamDecoder.from_tensors(tensors, metadata)
        self._side = encoder.config.image_size
        self._encoder = PictureEncoder(_eager(encoder), self._side)
        self._decoder = PromptDecoder(_eager(decoder), self._side, single_first=decoder.config.single_first)
        self._lama = LamaNetwork.load(*read_tensors(lama))
        picture = np.zeros((64, 64, 3), np.uint8)
        self.mask_at(self.encode(picture), 32, 32)
        self.inpaint(picture, np.zeros((64, 64), np.uint8))

    def encode(self, picture: NDArray[np.uint8]) -> ImageEmbedding:
        """MobileSAM's `set_image`."""
        return self._encoder.encode([RgbImage(picture)])[0]

    def mask_at(self, embedding: ImageEmbedding, x: float, y: float) -> NDArray[np.uint8]:
        """The best mask for one tap, 0 or 255, of the picture's size."""
        ((decoded,),) = self._decoder.decode([(embedding, [ObjectPrompt(points=((x, y),), labels=(1,))])])
        logits = upscale_logits(decoded.candidates[0].logits, embedding.width, embedding.height, self._side)
        return np.where(logits > 0, np.uint8(255), np.uint8(0))

    def inpaint(self, picture: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """LaMa on the whole frame, padded to a multiple of 8."""
        height, width = mask.shape
        pad = ((0, -height % PAD_TO), (0, -width % PAD_TO))
        pixels = np.pad(picture, (*pad, (0, 0)), mode="symmetric")
        hole = np.pad(mask, pad, mode="symmetric")
        with torch.inference_mode():
            filled = self._lama(
                torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255,
                torch.from_numpy((hole > 0).astype(np.float32))[None, None],
            )
            answer = (filled[0].permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).numpy()
        return np.asarray(answer[:height, :width])


def _eager(module: torch.nn.Module) -> Callable[..., tuple[NDArray[np.float32], ...]]:
    def run(*inputs: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        with torch.inference_mode():
            answer = module(*(torch.from_numpy(one) for one in inputs))
        return tuple(one.numpy() for one in (answer if isinstance(answer, tuple) else (answer,)))

    return run


@dataclass
class PlainJob:
    """One entry of the dict."""

    folder: Path
    status: str = "uploaded"
    progress: int = 0
    num_objects: int = 0
    error: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """What `/status` answers."""
        return {
            "status": self.status,
            "progress": self.progress,
            "num_objects": self.num_objects,
            "job_dir": str(self.folder),
            "error": self.error,
            "seconds": self.seconds,
        }

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the body's seconds to those of `step`."""
        started = time.perf_counter()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - started


def process_segmentation_job(networks: Networks, job: PlainJob, points: Sequence[Sequence[float]]) -> None:
    """The brief's pipeline, in the job's own thread."""
    try:
        with job.timed("read"):
            picture = np.asarray(Image.open(job.folder / "original.png").convert("RGB"))
        with job.timed("encode"):
            embedding = networks.encode(picture)
        job.progress = 20
        masks = []
        for index, (x, y) in enumerate(points):
            with job.timed("decode"):
                mask = networks.mask_at(embedding, x, y)
            if np.count_nonzero(mask) < LEAST_AREA_PX:
                raise ValueError(f"Segmentation failed for object {index}: mask too small")
            with job.timed("cut out"):
                save(job.folder / f"mask_{index}.png", mask)
                save(job.folder / f"cropped_{index}.png", cropped(picture, mask))
            with job.timed("refine"):
                masks.append(refined(mask))
        job.progress = 40
        for index, mask in enumerate(masks):
            with job.timed("inpaint each"):
                filled = networks.inpaint(picture, mask)
            with job.timed("write"):
                save(job.folder / f"inpainted_{index}.png", filled)
            job.progress = 40 + 50 * (index + 1) // (len(masks) + 1)
        with job.timed("inpaint all"):
            filled = networks.inpaint(picture, np.maximum.reduce(masks))
        with job.timed("write"):
            save(job.folder / "full_inpainted.png", filled)
            (job.folder / "result.json").write_text(json.dumps({"seconds": job.seconds}))
        job.status, job.progress = "ready", 100
    except Exception as error:
        log.exception("job failed")
        job.status, job.error = "error", str(error)


def refined(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mask with its surroundings and a soft rim."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (DILATE_PX, DILATE_PX))
    return np.asarray(cv2.GaussianBlur(cv2.dilate(mask, kernel), (BLUR_PX, BLUR_PX), 0), np.uint8)


def cropped(picture: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The object as RGBA with some room around it."""
    rows, columns = np.where(mask.any(axis=1))[0], np.where(mask.any(axis=0))[0]
    box = np.s_[
        max(rows[0] - PADDING_PX, 0) : rows[-1] + 1 + PADDING_PX,
        max(columns[0] - PADDING_PX, 0) : columns[-1] + 1 + PADDING_PX,
    ]
    return np.dstack([picture[box], mask[box]])


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a PNG."""
    Image.fromarray(pixels).save(path)


def create_app(networks: Networks, work_dir: Path, max_image_size: int) -> FastAPI:
    """The brief's endpoints over one dict of jobs."""
    app, jobs = FastAPI(title="plain server"), dict[str, PlainJob]()

    def find(job_id: str) -> PlainJob:
        if job_id not in jobs:
            raise HTTPException(404, "Job not found")
        return jobs[job_id]

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", "device": "cpu", "models_loaded": True, "threads": torch.get_num_threads()}

    @app.post("/upload")
    def upload(file: UploadFile) -> dict[str, Any]:
        try:
            picture = ImageOps.exif_transpose(Image.open(io.BytesIO(file.file.read()))).convert("RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise HTTPException(400, f"Upload failed: Invalid image data: {error}") from error
        picture.thumbnail((max_image_size, max_image_size), Image.Resampling.LANCZOS)
        job_id = uuid.uuid4().hex
        jobs[job_id] = PlainJob(work_dir / job_id)
        jobs[job_id].folder.mkdir(parents=True)
        picture.save(jobs[job_id].folder / "original.png")
        message = "Image uploaded. Send coordinates to segment."
        return {"job_id": job_id, "status": "uploaded", "message": message}

    @app.post("/segment")
    def segment(
        job_id: str, coordinates_list: Annotated[list[tuple[float, float]], Body(embed=True, min_length=1)]
    ) -> dict[str, Any]:
        job = find(job_id)
        if job.status == "processing":
            raise HTTPException(409, "Job is being processed")
        job.status, job.progress, job.num_objects = "processing", 0, len(coordinates_list)
        job.error, job.seconds = None, {}
        threading.Thread(
            target=process_segmentation_job, args=(networks, job, coordinates_list), daemon=True
        ).start()
        message = f"Segmenting {len(coordinates_list)} objects..."
        return {"job_id": job_id, "status": "processing", "message": message}

    @app.get("/status/{job_id}")
    def status(job_id: str) -> dict[str, Any]:
        return find(job_id).as_dict()

    @app.get("/download/{job_id}/{filename}")
    def download(job_id: str, filename: str) -> FileResponse:
        path = find(job_id).folder / Path(filename).name
        if not path.is_file():
            raise HTTPException(404, "File not found")
        return FileResponse(path)

    @app.delete("/cleanup/{job_id}")
    def cleanup(job_id: str) -> dict[str, str]:
        shutil.rmtree(find(job_id).folder, ignore_errors=True)
        del jobs[job_id]
        return {"status": "deleted", "job_id": job_id}

    return app


def main(arguments: list[str] | None = None) -> None:
    """Load, warm up, serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain_server")
    parser.add_argument("--port", type=int, default=8601)
    parser.add_argument("--mobile-sam", type=Path, required=True, help="checkpoint of the released layout")
    parser.add_argument("--lama", type=Path, required=True, help="checkpoint of the released layout")
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--max-image-size", type=int, default=1024)
    options = parser.parse_args(arguments)
    app = create_app(Networks(options.mobile_sam, options.lama), options.work_dir, options.max_image_size)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
