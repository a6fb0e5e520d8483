"""A job as its client sees it: from the stored job to the wire.

Owns the mapping, nothing else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from deployments.http.schemas import ObjectAnswer, StatusAnswer
from storage.jobs import Job


def iso_time(epoch_s: float) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def status_of(job: Job, work_dir_name: str) -> StatusAnswer:
    """What `/status` answers for `job`."""
    result = json.loads(job.result) if job.result else {}
    return StatusAnswer(
        job_id=job.id,
        status=job.state.value,
        progress=job.progress,
        stage=job.stage,
        num_objects=job.num_objects,
        queue_position=job.queue_position,
        objects=[ObjectAnswer(**fields) for fields in result.get("objects", [])],
        files=sorted(job.files),
        error=job.error,
        job_dir=f"{work_dir_name}/{job.id}",
        width=job.picture.width,
        height=job.picture.height,
        created_at=iso_time(job.created_at),
        updated_at=iso_time(job.updated_at),
        expires_at=iso_time(job.expires_at),
    )
