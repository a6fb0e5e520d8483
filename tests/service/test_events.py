from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx

from tests.service.pictures import DISC, finished, segment, upload


def events(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_events_follow_a_job_to_its_end(api: httpx.Client, service_url: str) -> None:
    job_id = upload(api)["job_id"]
    with httpx.stream("GET", f"{service_url}/events/{job_id}", timeout=60) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        seen = []
        for name, data in events(stream):
            assert name == "status"
            if not seen:
                assert data["status"] == "uploaded"
                segment(api, job_id, coordinates_list=[list(DISC)])
            seen.append(data)
    assert seen[-1]["status"] == "ready" and seen[-1]["progress"] == 100
    assert len(seen) >= 3, [data["stage"] for data in seen]
    progress = [data["progress"] for data in seen[1:]]
    assert progress == sorted(progress)
    assert seen[-1] == api.get(f"/status/{job_id}").json()


def test_events_of_an_ended_job_end_at_once(api: httpx.Client) -> None:
    status = finished(api)
    with api.stream("GET", f"/events/{status['job_id']}") as stream:
        assert list(events(stream)) == [("status", status)]


def test_events_say_when_the_job_is_gone(api: httpx.Client, service_url: str) -> None:
    job_id = upload(api)["job_id"]
    with httpx.stream("GET", f"{service_url}/events/{job_id}", timeout=60) as stream:
        follow = events(stream)
        assert next(follow)[0] == "status"
        api.delete(f"/cleanup/{job_id}")
        assert next(follow) == ("gone", {})
        assert list(follow) == []
