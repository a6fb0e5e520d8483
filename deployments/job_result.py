"""What a finished job says of itself: `/status`'s objects and `result.json`.

Owns the layout of both.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from deployments.job_walk import WalkResult
from storage.files import FileStore
from storage.jobs import Job

ONLY_IN_FILE = ("rle",)  # large, and of use to programs that read result.json


def status_result(walked: WalkResult) -> str:
    """JSON text kept with the job: what `/status` shows."""
    objects = [{k: v for k, v in item.items() if k not in ONLY_IN_FILE} for item in walked.objects]
    return json.dumps({"objects": objects}, separators=(",", ":"))


def result_files(
    files: FileStore,
    folder: str,
    job: Job,
    walked: WalkResult,
    networks: Mapping[str, Mapping[str, str]],
    began_at: float,
) -> dict[str, str]:
    """Store `result.json` below `folder`; answer its name and storage key.

    `began_at`: when a runner began with the job, epoch s. Spans count from there; on a cluster they are as
    exact as its machines' clocks.
    """
    spent: dict[str, float] = defaultdict(float)
    for timing in walked.timings:
        spent[timing.stage] += timing.seconds
    request: dict[str, Any] = json.loads(job.request)
    document = {
        "job_id": job.id,
        "picture": {
            "width": job.picture.width,
            "height": job.picture.height,
            "uploaded_width": job.picture.uploaded_width,
            "uploaded_height": job.picture.uploaded_height,
            "format": job.picture.format,
            "notes": list(job.picture.notes),
            "digest": job.picture.digest,
        },
        "outputs": request["outputs"],
        "objects": list(walked.objects),
        "checkpoints": {name: dict(network) for name, network in networks.items()},
        "seconds": {
            "total": round(time.time() - began_at, 4),
            "by_stage": {stage: round(value, 4) for stage, value in sorted(spent.items())},
            "began_at": round(began_at, 4),
            "spans": [
                {
                    "stage": timing.stage,
                    "start": round(timing.started_at - began_at, 4),
                    "seconds": round(timing.seconds, 4),
                    "batch_size": timing.batch_size,
                }
                for timing in sorted(walked.timings, key=lambda timing: timing.started_at)
            ],
        },
        "files": sorted(walked.files),
    }
    key = f"{folder}/result.json"
    files.put(key, json.dumps(document, indent=1).encode())
    return {"result.json": key}
