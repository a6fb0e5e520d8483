"""What the Python client does when the service refuses for now, breaks off, or changes its mind."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import tapcut_client
from tapcut_client import Client, RetryPolicy
from tapcut_client.events import EventParser

from tests.engine.file_server import FileServer, serving

JOB = "0123456789abcdef0123456789abcdef"
STATUS = {
    "job_id": JOB,
    "status": "ready",
    "progress": 100,
    "stage": "ready",
    "num_objects": 0,
    "queue_position": None,
    "objects": [],
    "files": [],
    "error": None,
    "width": 4,
    "height": 4,
    "expires_at": "2030-01-01T00:00:00Z",
}
UPLOADED = {
    "job_id": JOB,
    "width": 4,
    "height": 4,
    "uploaded_width": 4,
    "uploaded_height": 4,
    "expires_at": "2030-01-01T00:00:00Z",
    "notes": [],
}
QUICK = RetryPolicy(tries=4, base_s=0.001, cap_s=0.01)

Answers = list[httpx.Response | Exception]


def client(answers: Answers, seen: list[httpx.Request], policy: RetryPolicy = QUICK) -> Client:
    """A client whose network gives these answers in turn."""

    def handle(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Client("http://service", transport=httpx.MockTransport(handle), retry=policy)


def busy(seconds: int, status: int = 503) -> httpx.Response:
    return httpx.Response(status, json={"detail": "later"}, headers={"Retry-After": str(seconds)})


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(status: int) -> None:
    seen: list[httpx.Request] = []
    start = time.monotonic()
    found = client([busy(1, status), httpx.Response(200, json=STATUS)], seen).status(JOB)
    assert found.ended and len(seen) == 2
    assert 1.0 <= time.monotonic() - start < 3.0


def test_a_retry_after_beyond_the_callers_patience_is_an_error_at_once() -> None:
    policy = RetryPolicy(total_s=5)
    start = time.monotonic()
    with pytest.raises(tapcut_client.ServiceUnavailable) as refused:
        client([busy(3600)], [], policy).status(JOB)
    assert refused.value.retry_after_s == 3600 and time.monotonic() - start < 1


def test_an_upload_sent_again_carries_the_same_key_and_the_whole_file() -> None:
    seen: list[httpx.Request] = []
    answers: Answers = [
        httpx.ConnectError("refused"),
        busy(0),
        httpx.ReadError("cut"),
        httpx.Response(200, json=UPLOADED),
    ]
    assert client(answers, seen).upload(b"the picture's bytes").job_id == JOB
    assert len({request.headers["idempotency-key"] for request in seen}) == 1
    assert all(b"the picture's bytes" in request.content for request in seen) and len(seen) == 4


def test_a_first_sending_that_is_still_running_is_waited_for() -> None:
    seen: list[httpx.Request] = []
    pending = httpx.Response(409, json={"detail": "still running"}, headers={"Retry-After": "0"})
    client([httpx.ReadTimeout("slow"), pending, httpx.Response(200, json={})], seen).segment(JOB, [(1, 1)])
    assert len({request.headers["idempotency-key"] for request in seen}) == 1 and len(seen) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, tapcut_client.InvalidPicture),
        (401, tapcut_client.Unauthorized),
        (404, tapcut_client.NotFound),
        (409, tapcut_client.Conflict),
        (422, tapcut_client.InvalidRequest),
        (500, tapcut_client.ApiError),
    ],
)
def test_what_trying_again_cannot_mend_is_sent_once(status: int, kind: type[Exception]) -> None:
    seen: list[httpx.Request] = []
    with pytest.raises(kind, match="no good"):
        client([httpx.Response(status, json={"detail": "no good"})], seen).segment(JOB, [(1, 1)])
    assert len(seen) == 1


def test_tries_are_bounded() -> None:
    seen: list[httpx.Request] = []
    with pytest.raises(tapcut_client.ConnectionFailed, match="refused"):
        client([httpx.ConnectError("refused")] * 9, seen).status(JOB)
    assert len(seen) == QUICK.tries


def test_pauses_grow_and_spread() -> None:
    full = RetryPolicy(base_s=1, cap_s=20, chance=lambda: 1.0)
    assert [full.pause_s(tried, None) for tried in (1, 2, 3, 9)] == [2, 4, 8, 20]
    assert RetryPolicy(chance=lambda: 0.0).pause_s(3, None) == 0
    assert RetryPolicy(chance=lambda: 0.0).pause_s(1, 7.0) == 7
    assert 7 < RetryPolicy(chance=lambda: 1.0).pause_s(1, 7.0) <= 9


def events(*statuses: dict[str, Any], cut: bool = False) -> httpx.Response:
    class Stream(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for status in statuses:
                text = f"event: status\ndata: {json.dumps(status)}\n\n: still here\n\n"
                yield text[:30].encode()
                yield text[30:].encode()
            if cut:
                raise httpx.ReadError("cut")

    return httpx.Response(200, stream=Stream(), headers={"content-type": "text/event-stream"})


RUNNING = {**STATUS, "status": "processing", "progress": 40, "stage": "inpainting"}


@pytest.mark.parametrize(
    "answers",
    [
        lambda: [events(RUNNING, STATUS)],
        lambda: [events(RUNNING, cut=True), httpx.Response(200, json=STATUS)],
        lambda: [events(RUNNING, cut=True), httpx.Response(200, json=RUNNING), events(STATUS)],
        lambda: [httpx.ConnectError("down"), busy(0), httpx.Response(200, json=STATUS)],
        lambda: [httpx.Response(502, text="proxy"), httpx.Response(200, json=STATUS)],
    ],
)
def test_waiting_survives_broken_and_missing_event_streams(answers: Callable[[], Answers]) -> None:
    given, heard = answers(), []
    assert client(given, []).wait(JOB, on_status=heard.append).status == "ready"
    assert not given and heard[-1].ended
    assert len(heard) == len(set(map(str, heard)))  # nothing is told twice


def test_waiting_polls_where_streams_never_speak() -> None:
    silent = httpx.Response(200, text="")
    answers: Answers = [silent, httpx.Response(200, json=RUNNING), httpx.Response(200, json=STATUS)]
    assert client(answers, []).wait(JOB).ended


def test_a_job_deleted_while_waited_for_is_not_found() -> None:
    gone = httpx.Response(200, text="event: gone\ndata: {}\n\n")
    with pytest.raises(tapcut_client.NotFound):
        client([gone], []).wait(JOB)


def test_events_come_whole_in_whatever_pieces_they_arrive() -> None:
    text = b': hello\r\n\r\nevent: status\r\ndata: {"a":\ndata: 1}\r\n\r\nevent: gone\ndata: {}\n\nda'
    for size in range(1, len(text)):
        parser, found = EventParser(), []
        for start in range(0, len(text), size):
            found += parser.feed(text[start : start + size])
        assert [(event.name, event.data) for event in found] == [("status", {"a": 1}), ("gone", {})], size


@pytest.mark.parametrize("etag", ['"one"', ""])
def test_a_download_that_breaks_off_goes_on_where_it_was(etag: str) -> None:
    content = bytes(range(256)) * 4000
    cuts = [300_000, 200_000, 0, 400_000]
    with serving(FileServer(content, cut_after=list(cuts), etag=etag)) as server:
        told: list[tuple[int, int]] = []
        with Client(server.url.rpartition("/")[0], retry=QUICK) as one:
            data = one.download(JOB, "a.png", on_progress=lambda done, total: told.append((done, total)))
    assert data == content
    assert told[-1] == (len(content), len(content))
    if etag:
        assert server.asked[1] is not None and int(server.asked[1][6:-1]) > 100_000


def test_a_download_that_never_brings_a_byte_is_given_up() -> None:
    with (
        serving(FileServer(b"x" * 1000, cut_after=[0] * 20)) as server,
        Client(server.url.rpartition("/")[0], retry=QUICK) as one,
        pytest.raises(tapcut_client.DownloadBroken, match="0 bytes"),
    ):
        one.download(JOB, "a.png")
    assert len(server.asked) == QUICK.tries


def test_keys_that_no_header_can_carry_are_refused_by_name() -> None:
    with pytest.raises(tapcut_client.TapcutError, match="API key"):
        Client(api_key="abc\ndef")


def test_errors_survive_pickling() -> None:
    import pickle

    for error in (
        tapcut_client.NotFound(404, "Job not found", (), "r", 2.0),
        tapcut_client.JobFailed("m", JOB),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert str(again) == str(error) and type(again) is type(error)


def test_who_did_not_answer_is_named() -> None:
    with tapcut_client.Client("http://127.0.0.1:1", retry=tapcut_client.RetryPolicy(tries=1)) as nobody:
        for call in (nobody.health, lambda: nobody.status(JOB)):
            with pytest.raises(
                tapcut_client.ConnectionFailed, match=r"no answer from http://127\.0\.0\.1:1: "
            ):
                call()


def test_points_that_are_no_pairs_are_told_before_anything_is_sent() -> None:
    with (
        tapcut_client.Client("http://127.0.0.1:1") as nobody,
        pytest.raises(tapcut_client.TapcutError, match=r"250 is not a point: .* \[\(250, 300\)\]"),
    ):
        nobody.remove("photo.jpg", (250, 300))  # type: ignore[arg-type]


def test_a_redirection_is_no_success(tmp_path: Path) -> None:
    def moved() -> httpx.Response:
        return httpx.Response(308, html="<html>moved</html>", headers={"Location": "https://service/"})

    calls: list[Callable[[Client], object]] = [
        lambda c: c.upload(b"picture"),
        lambda c: c.status(JOB),
        lambda c: c.download(JOB, "a.png"),
        lambda c: c.download_to(JOB, "a.png", tmp_path / "a.png"),
        lambda c: c.cleanup(JOB),
        lambda c: c.health(),
    ]
    for call in calls:
        with pytest.raises(tapcut_client.BadAddress, match="https://service/"):
            call(client([moved()], []))
    assert list(tmp_path.iterdir()) == []
