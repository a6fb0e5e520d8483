"""What is sent to the API while it is fuzzed, and what each answer must satisfy beyond the OpenAPI document.

Owns pictures for uploads, the taming of a part of the prompts (so that many calls reach the work
behind the checks), and our own checks: problem documents, `Retry-After`, and the lives of jobs.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, HookContext, Response

from trials.scenes import photo

AnyCase = Case[Any]

PICTURES = tuple(
    photo(width, height, kind)
    for width, height, kind in ((64, 48, "PNG"), (96, 80, "JPEG"), (200, 120, "WEBP"), (31, 150, "PNG"))
)
JOB_ID = re.compile(r"[0-9a-f]{32}")
LEAKS = re.compile(r"Traceback|site-packages|ray::|/(?:tmp|home|root)/|\.py\b|0x[0-9a-f]{8}")
BUSY_CALLS = ("upload", "segment", "preview")  # may answer 503 while the queue is full


@dataclass
class Story:
    """Which jobs this run has seen made and deleted."""

    living: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    unknown: int = 0
    salt: str = field(default_factory=lambda: secrets.token_hex(4))


STORY = Story()  # one for the process, as Schemathesis' registry of checks and hooks is


def install(schema: Any) -> None:
    """Make `schema`'s uploads pictures and a part of its prompts sensible.

    `schema` is untyped because its hooks are registered through decorators that lose their types.
    """
    schemathesis.openapi.format("binary", st.sampled_from(PICTURES))
    schema.hook("map_case")(_tame)


def _tame(context: HookContext, case: AnyCase) -> AnyCase:
    """Every second valid prompt is moved into its picture; otherwise nearly all lie outside of it."""
    if case.meta is None or not case.meta.generation.mode.is_positive or not isinstance(case.body, dict):
        return case
    if case.operation.label not in ("POST /segment", "POST /preview"):
        return case
    if sum(json.dumps(case.body, default=str, sort_keys=True).encode()) % 2:
        return case
    body: dict[str, Any] = dict(case.body)
    body["normalized"] = True
    if case.operation.label == "POST /preview":
        body |= _inside(body)
    else:
        specs = [_inside(one) for one in body.pop("objects", None) or [] if isinstance(one, dict)]
        taps = [_fold(point) for point in body.pop("coordinates_list", None) or []]
        body |= {"objects": specs[:3]} if specs else {"coordinates_list": taps[:3] or [[0.3, 0.4]]}
        if body.get("outputs") == []:
            body["outputs"] = None
        body.pop("callback_url", None)
        case.query = {name: value for name, value in case.query.items() if name != "coordinates_list"}
    case.body = body
    return case


def _inside(spec: Mapping[str, Any]) -> dict[str, Any]:
    points = [_fold(point) for point in spec.get("points") or []] or [[0.3, 0.4]]
    return {"points": points[:8], "labels": [1] * len(points[:8]), "box": None}


def _fold(point: Any) -> list[float]:
    return [abs(float(value)) % 1.0 for value in point]


@schemathesis.hook("before_call")
def _prepare(context: HookContext, case: AnyCase, kwargs: dict[str, Any]) -> None:
    _take_living_job(case)
    _take_fresh_key(case)


def _take_living_job(case: AnyCase) -> None:
    """Three of four unknown ids become a living job's: behind a 404 nothing else would be tried."""
    known = STORY.living | STORY.deleted
    holders: tuple[Any, ...] = (case.path_parameters, case.query, case.body)
    for holder in holders:
        job_id = holder.get("job_id") if isinstance(holder, MutableMapping) else None
        if not isinstance(job_id, str) or not JOB_ID.fullmatch(job_id) or job_id in known:
            continue
        STORY.unknown += 1
        if STORY.living and STORY.unknown % 4:
            holder["job_id"] = sorted(STORY.living)[STORY.unknown % len(STORY.living)]
            if "filename" in holder and STORY.unknown % 2:
                holder["filename"] = "original.png"


def _take_fresh_key(case: AnyCase) -> None:
    """A repeated `Idempotency-Key` answers as the first call did, whatever else is wrong with the second.

    That is the contract, but it would hide what this call alone deserves. Keys that are themselves
    malformed stay as they are.
    """
    headers: Any = case.headers or {}
    key = next((value for name, value in headers.items() if name.lower() == "idempotency-key"), None)
    if isinstance(key, str) and 1 <= len(key) <= 160:
        headers["Idempotency-Key"] = f"{key}{STORY.salt}{case.id}"


@schemathesis.check
def refusal_is_a_problem(ctx: CheckContext, response: Response, case: AnyCase) -> None:
    """4xx and 5xx are problem documents that agree with the status and show nothing of the inside."""
    if response.status_code < 400:
        return
    name = case.operation.definition.raw.get("operationId")
    if response.status_code >= 500:
        assert response.status_code == 503 and name in BUSY_CALLS, f"{response.status_code} from {name}"
    if response.status_code in (429, 503):
        assert response.headers.get("retry-after", [""])[0].isdigit(), "no Retry-After"
    if response.request.method == "HEAD":
        return
    kind = response.headers.get("content-type", [""])[0]
    assert kind == "application/problem+json", f"a refusal as {kind!r}: {response.content[:120]!r}"
    body = json.loads(response.content)
    assert body["status"] == response.status_code and body["detail"], body
    quoted = f"{response.request.url} {case.body!r}"
    leak = LEAKS.search(body["detail"])
    assert leak is None or leak.group() in quoted, f"an answer shows the inside: {body}"


@schemathesis.check
def well_formed_prompt_is_taken(ctx: CheckContext, response: Response, case: AnyCase) -> None:
    """422 is no answer to a prompt that lies in its picture and contradicts nothing."""
    if response.status_code != 422 or not isinstance(case.body, dict) or case.meta is None:
        return
    if not case.meta.generation.mode.is_positive or not _is_plain(case.body, case.query):
        return
    detail = json.loads(response.content)["detail"]
    assert "mask too small" in detail, f"a well-formed prompt was refused: {detail}"


def _is_plain(body: Mapping[str, Any], query: Mapping[str, Any]) -> bool:
    if not body.get("normalized") or query.get("coordinates_list") is not None or body.get("outputs") == []:
        return False
    if body.get("callback_url") is not None:
        return False  # a service without WEBHOOK_SECRET refuses it, one with it refuses most addresses
    if set(body) <= {"job_id", "points", "labels", "box", "normalized"}:
        specs = [body]
    elif body.get("objects") and body.get("coordinates_list") is None:
        specs = body["objects"]
    elif body.get("coordinates_list") and body.get("objects") is None:
        specs = [{"points": [point]} for point in body["coordinates_list"]]
    else:
        return False
    return len(specs) <= 3 and all(
        spec.get("points")
        and spec.get("box") is None
        and spec.get("mask") is None
        and all(0 <= value < 1 for point in spec["points"] for value in point)
        and (spec.get("labels") is None or spec["labels"] == [1] * len(spec["points"]))
        for spec in specs
    )


@schemathesis.check
class JobLives:
    """A job that was uploaded is there until its cleanup, and never afterwards."""

    def after_response(self, ctx: CheckContext, response: Response, case: AnyCase) -> None:
        """Compare one answer with what the answers before it said of the same job."""
        name, code = case.operation.definition.raw.get("operationId"), response.status_code
        if response.request.method != case.operation.method.upper():
            return
        if name == "upload" and code == 200:
            STORY.living.add(json.loads(response.content)["job_id"])
            return
        job_id = _job_of(case, name)
        if job_id is None:
            return
        assert not (code < 400 and job_id in STORY.deleted), f"{name} answers {code} for a deleted job"
        if name not in ("download", "download_head"):  # a file may be missing although its job is there
            assert not (code == 404 and job_id in STORY.living), f"{name} answers 404 for a living job"
        if name == "cleanup" and code == 200:
            STORY.living.discard(job_id)
            STORY.deleted.add(job_id)


def _job_of(case: AnyCase, name: str | None) -> str | None:
    if name == "segment":
        found = case.query.get("job_id")
    elif name == "preview":
        found = case.body.get("job_id") if isinstance(case.body, dict) else None
    else:
        found = (case.path_parameters or {}).get("job_id")
    return found if isinstance(found, str) and JOB_ID.fullmatch(found) else None
