"""A run that ends calls back, signed, whatever dies in between."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from docs.webhook_receiver import verify
from tests.conftest import WEBHOOK_SECRET
from tests.service.pictures import DISC, segment, upload, wait
from trials.service import Service
from trials.webhook_server import WebhookServer, hang


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def run_with_callback(api: httpx.Client, port: int) -> str:
    job_id: str = upload(api)["job_id"]
    url = f"http://127.0.0.1:{port}/hook?token=t"
    segment(api, job_id, coordinates_list=[list(DISC)], outputs=["masks"], callback_url=url)
    return job_id


def retries(api: httpx.Client) -> float:
    found = re.search(r"^tapcut_webhook_retries_total (\S+)$", api.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found.group(1))


def test_run_that_ends_posts_its_status_signed(api: httpx.Client) -> None:
    with WebhookServer() as server:
        job_id = run_with_callback(api, server.port)
        until(lambda: server.received, 60, "the webhook arrives")
        (got,) = server.received
    assert verify(WEBHOOK_SECRET, got.headers, got.body)
    assert got.path == "/hook?token=t"
    status = api.get(f"/status/{job_id}")
    assert json.loads(got.body) == status.json()
    assert "hook" not in status.text


def test_receiver_that_is_down_at_first_gets_it_later(api: httpx.Client) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        before = retries(api)
        job_id = run_with_callback(api, port)
        assert wait(api, job_id)["status"] == "ready"
        until(lambda: retries(api) > before, 30, "a try has failed")
    with WebhookServer(port=port) as server:
        until(lambda: server.received, 30, "the webhook arrives")
        assert json.loads(server.received[0].body)["job_id"] == job_id
        assert verify(WEBHOOK_SECRET, server.received[0].headers, server.received[0].body)


def test_sender_killed_in_the_middle_of_a_post_loses_nothing(api: httpx.Client, service: Service) -> None:
    with WebhookServer([hang(60)]) as server:
        run_with_callback(api, server.port)
        until(lambda: server.received, 60, "the post has begun")
        killed = service.replicas("WebhookSender")
        assert killed
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(server.received) > 1, 60, "the webhook arrives again")
        assert len(set(server.ids)) == 1
        assert all(verify(WEBHOOK_SECRET, one.headers, one.body) for one in server.received)
    until(lambda: service.replicas("WebhookSender") - killed, 60, "the sender is replaced")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://169.254.169.254/latest", "169.254.169.254 is not on the public internet"),
        ("https://localhost/", "localhost is not on the public internet"),
        ("ftp://example.com/", "begin it with https:// or http://"),
        ("https://example.com:6379/", "port 6379 is not open to webhooks"),
    ],
)
def test_callback_that_cannot_be_used_is_refused_by_name(api: httpx.Client, url: str, reason: str) -> None:
    job_id = upload(api)["job_id"]
    answer = api.post(
        "/segment",
        params={"job_id": job_id},
        json={"coordinates_list": [list(DISC)], "callback_url": url},
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "callback_url"
    assert reason in answer.json()["detail"]
    assert api.get(f"/status/{job_id}").json()["status"] == "uploaded"


def test_the_api_documents_the_post(api: httpx.Client) -> None:
    document = api.get("/openapi.json").json()
    (callback,) = document["paths"]["/segment"]["post"]["callbacks"]["run_ended"].items()
    assert callback[0] == "{$request.body#/callback_url}"
    post = callback[1]["post"]
    names = {parameter["name"] for parameter in post["parameters"]}
    assert names == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert "StatusAnswer" in json.dumps(post["requestBody"])
    for reference in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)):
        assert reference in document["components"]["schemas"]


def test_the_secret_is_in_no_log(api: httpx.Client, service: Service) -> None:
    assert api.get("/health").status_code == 200
    session = next(
        found.group()
        for process in service.process.children(recursive=True)
        for part in _command(process)
        if (found := re.search(r"/\S*/session_[\d_-]+(?=/)", part))
    )
    logs = [service.log, *(path for path in (Path(session) / "logs").rglob("*") if path.is_file())]
    assert len(logs) > 10
    secret = WEBHOOK_SECRET.removeprefix("whsec_").encode()
    assert [path.name for path in logs if secret in path.read_bytes()] == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []
