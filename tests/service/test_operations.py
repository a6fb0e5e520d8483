from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.service.pictures import DISC, finished, png_bytes, scene, segment, upload, wait
from trials.service import Service


def test_health_says_what_is_loaded(api: httpx.Client) -> None:
    answer = api.get("/health")
    assert answer.status_code == 200
    health = answer.json()
    assert health["status"] == "ok" and health["redis"] == "ok" and health["models_loaded"]
    assert {name: one["checkpoint"] for name, one in health["checkpoints"].items()} == {
        "mobile_sam": "bundled",
        "lama": "bundled",
    }


def test_guide_lists_the_workflow(api: httpx.Client) -> None:
    guide = api.get("/").json()
    assert [step["call"].split()[0] for step in guide["workflow"]] == ["POST", "POST", "GET", "GET", "DELETE"]


def test_docs_load_nothing_from_elsewhere(api: httpx.Client) -> None:
    page = api.get("/docs")
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert addresses and all(address.startswith("/") for address in addresses)
    for address in addresses:
        assert api.get(address).status_code == 200, address


def test_page_is_served_with_a_policy(api: httpx.Client) -> None:
    page = api.get("/app/")
    assert page.status_code == 200 and "text/html" in page.headers["content-type"]
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_openapi_describes_every_call_and_its_problems(api: httpx.Client) -> None:
    document = api.get("/openapi.json").json()
    expected = {
        "/": {"get"},
        "/upload": {"post"},
        "/segment": {"post"},
        "/preview": {"post"},
        "/status/{job_id}": {"get"},
        "/events/{job_id}": {"get"},
        "/download/{job_id}/{filename}": {"get", "head"},
        "/cleanup/{job_id}": {"delete"},
        "/health": {"get"},
        "/metrics": {"get"},
    }
    assert {path: set(operations) for path, operations in document["paths"].items()} == expected
    refused = document["paths"]["/segment"]["post"]["responses"]
    assert {"200", "404", "409", "422", "503"} <= set(refused)
    assert list(refused["422"]["content"]) == ["application/problem+json"]
    operation_ids = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(operation_ids) == len(set(operation_ids))


def test_metrics_count_jobs_stages_and_batches(api: httpx.Client) -> None:
    def value(name: str, **labels: str) -> float:
        text = api.get("/metrics").text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0.0

    before = value("tapcut_jobs_ended_total", outcome="ready")
    inpainted = value("tapcut_stage_seconds_count", stage="inpaint")
    finished(api)
    assert value("tapcut_jobs_ended_total", outcome="ready") == before + 1
    assert value("tapcut_stage_seconds_count", stage="inpaint") == inpainted + 1
    assert value("tapcut_stage_batch_size_count", stage="decode") >= 1
    assert value("tapcut_jobs", state="ready") >= 1


def test_request_id_of_the_client_comes_back_with_the_problem(api: httpx.Client) -> None:
    answer = api.get("/nothing", headers={"X-Request-ID": "my-id-1"})
    assert answer.headers["x-request-id"] == "my-id-1" == answer.json()["request_id"]
    assert api.get("/nothing").json()["request_id"] != api.get("/nothing").json()["request_id"]


def test_repeated_upload_with_its_key_returns_the_first_job(api: httpx.Client) -> None:
    headers = {"Idempotency-Key": "upload-once"}
    assert upload(api, **headers) == upload(api, **headers)
    assert upload(api)["job_id"] != upload(api, **headers)["job_id"]


def test_repeated_segment_with_its_key_runs_once(api: httpx.Client) -> None:
    job_id = upload(api)["job_id"]
    request = {
        "params": {"job_id": job_id},
        "json": {"coordinates_list": [list(DISC)], "outputs": ["masks"]},
        "headers": {"Idempotency-Key": "segment-once"},
    }
    first = api.post("/segment", **request)
    status = wait(api, job_id)
    assert api.post("/segment", **request).json() == first.json()
    assert api.get(f"/status/{job_id}").json() == status


@pytest.fixture
def embeddings(service: Service) -> Path:
    return service.work_dir / ".embeddings"


def test_embedding_is_computed_at_upload_shared_and_goes_with_its_last_job(
    api: httpx.Client, embeddings: Path
) -> None:
    data = png_bytes(scene(seed=77))
    before = set(embeddings.iterdir())
    first = upload(api, data)["job_id"]
    # The preview waits for the embedding that the upload has asked for.
    assert api.post("/preview", json={"job_id": first, "points": [list(DISC)]}).status_code == 200
    (own,) = set(embeddings.iterdir()) - before
    written = own.stat().st_ino
    second = upload(api, data)["job_id"]
    segment(api, second, coordinates_list=[list(DISC)])
    assert wait(api, second)["status"] == "ready"
    assert own.stat().st_ino == written, "the same picture was encoded twice"
    api.delete(f"/cleanup/{first}")
    assert own.exists()
    api.delete(f"/cleanup/{second}")
    assert not own.exists()


def test_cleanup_during_processing_leaves_nothing(api: httpx.Client, service: Service) -> None:
    job_id = upload(api)["job_id"]
    segment(api, job_id, coordinates_list=[list(DISC)] * 6)
    folder = service.work_dir / job_id
    assert folder.is_dir()
    assert api.delete(f"/cleanup/{job_id}").status_code == 200
    assert api.get(f"/status/{job_id}").status_code == 404
    finished(api)  # behind it in the queue: the runner has let go of the deleted one
    assert not folder.exists()
