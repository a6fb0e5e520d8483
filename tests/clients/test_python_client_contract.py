"""The Python client and the server's OpenAPI document say the same."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from tapcut_client import Client, ObjectPrompt, Status, Upload
from tapcut_client.defaults import SUFFIXES
from tapcut_client.errors import _BY_STATUS
from tapcut_client.models import ObjectResult, Outline, State
from tapcut_client.operations import OUTPUTS

from deployments.http.api import create_api
from settings import read_settings
from tests.deployments.http.small_service import SmallService


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("contract")
    args = {"REDIS_URL": "redis://127.0.0.1:1/0", "WORK_DIR": str(folder), "WEBHOOK_ALLOW_HTTP": True}
    return create_api(SmallService(read_settings(args))).openapi()


def properties(document: dict[str, Any], schema: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][schema]["properties"]
    return found


@pytest.mark.parametrize(
    ("model", "schema", "left_out"),
    [
        (Upload, "UploadAnswer", {"status", "message"}),
        (Status, "StatusAnswer", {"job_dir", "created_at", "updated_at"}),
        (Outline, "PreviewAnswer", {"candidates", "rle"}),
        (Outline, "CandidateAnswer", {"stability", "rle"}),
        (ObjectPrompt, "ObjectSpec", set()),
    ],
)
def test_models_have_the_documents_fields(
    document: dict[str, Any], model: type, schema: str, left_out: set[str]
) -> None:
    assert {one.name for one in fields(model)} == set(properties(document, schema)) - left_out


def test_an_object_of_a_status_has_the_documents_fields(document: dict[str, Any]) -> None:
    known = {one.name for one in (*fields(ObjectResult), *fields(Outline))} - {"outline"}
    assert known == set(properties(document, "ObjectAnswer")) - {"prompt"}


def test_preview_takes_everything_that_the_service_takes(document: dict[str, Any]) -> None:
    offered = set(inspect.signature(Client.preview).parameters) - {"self"}
    assert offered == set(properties(document, "PreviewBody"))


def test_states_outputs_and_formats_are_the_documents(document: dict[str, Any]) -> None:
    assert set(get_args(State)) == set(properties(document, "StatusAnswer")["status"]["enum"])
    schemas = document["components"]["schemas"]
    assert set(OUTPUTS) == set(schemas["Output"]["enum"])
    assert set(SUFFIXES) == set(schemas["ResultFormat"]["enum"])


def test_segment_takes_everything_that_the_service_takes(document: dict[str, Any]) -> None:
    offered = set(inspect.signature(Client.segment).parameters) - {
        "self",
        "job_id",
        "points",
        "idempotency_key",
    }
    assert offered == set(properties(document, "SegmentBody")) - {"coordinates_list"}


def test_every_documented_call_and_refusal_is_known_to_the_client(document: dict[str, Any]) -> None:
    used = {
        "/upload",
        "/segment",
        "/preview",
        "/status/{job_id}",
        "/events/{job_id}",
        "/download/{job_id}/{filename}",
        "/cleanup/{job_id}",
        "/health",
    }
    assert used == set(document["paths"]) - {"/", "/metrics"}
    codes = {
        int(code)
        for path in used
        for call in document["paths"][path].values()
        for code in call["responses"]
        if code.isdigit() and int(code) >= 400
    }
    # 416 is the resumed download's own business; 408 and 413 cut off what no client of ours sends.
    assert codes - set(_BY_STATUS) <= {408, 413, 416}
