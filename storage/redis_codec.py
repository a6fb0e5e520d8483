"""How a job looks inside its Redis hash.

Owns the mapping between `Job` and the flat fields that the scripts read and write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from storage.jobs import Job, JobState, Picture

UPLOAD_FIELD = "upload:"  # + name: files of the upload, kept over all runs
FILE_FIELD = "file:"  # + name: files of the current run


def picture_text(picture: Picture) -> str:
    """The picture as JSON."""
    return json.dumps(asdict(picture))


def picture_of(text: str) -> Picture:
    """The picture that `picture_text` wrote."""
    fields = json.loads(text)
    return Picture(**{**fields, "notes": tuple(fields["notes"])})


def flat(files: Mapping[str, str]) -> list[str]:
    """Names and keys in turn, as scripts take them."""
    return [text for pair in files.items() for text in pair]


def job_of(job_id: str, answer: Sequence[str], place: int | None = None) -> Job:
    """The job from its hash's fields and values in turn; `place` is its place in line."""
    fields = dict(zip(answer[::2], answer[1::2], strict=True))
    files = {
        field.removeprefix(prefix): key
        for prefix in (UPLOAD_FIELD, FILE_FIELD)
        for field, key in fields.items()
        if field.startswith(prefix)
    }
    return Job(
        id=job_id,
        state=JobState(fields["state"]),
        stage=fields["stage"],
        progress=int(fields["progress"]),
        created_at=float(fields["created_at"]),
        updated_at=float(fields["updated_at"]),
        expires_at=float(fields["expires_at"]),
        picture=picture_of(fields["picture"]),
        run=int(fields["run"]),
        attempt=int(fields["attempt"]),
        tries=int(fields["tries"]),
        num_objects=int(fields["num_objects"]),
        request=fields.get("request", ""),
        result=fields.get("result"),
        files=files,
        error=fields.get("error"),
        owner=fields["owner"],
        queue_position=place,
    )
