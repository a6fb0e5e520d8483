"""One visit to the service, as a good client makes it, and what its user feels.

Owns the calls, what each must answer, the trying again after a refusal, and the reporting of both the
requests and the waits as Locust requests. What a persona does with it is `personas.py`'s.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from load_tests import records
from load_tests.pixels import RING_PX, changed_outside, png_size
from trials import retry_after

if TYPE_CHECKING:
    from load_tests.personas import Visitor

PATIENCE_S = 240.0  # longest that a job may take, and that one call is tried again
LONGEST_PAUSE_S = 15.0  # before the next try of a refused call, whatever `Retry-After` says
CHECKED = 0.3  # share of the results that are looked at pixel by pixel


class WrongAnswerError(Exception):
    """The service answered what it must not; it is reported already."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An uploaded picture: its job, and its size in px."""

    job: str
    width: int
    height: int


class Visit:
    """The calls of one visit. Jobs that it opened are gone when it ends."""

    def __init__(self, user: Visitor) -> None:
        self._user, self._http = user, user.client
        self._open: list[str] = []
        self.rng = random.Random(secrets.randbits(64))

    def upload(self, data: bytes) -> Picture:
        """Upload a picture; the wait for the answer is felt."""
        with self.felt(records.ANSWERED):
            body, content_type = _multipart(data)
            headers = {"Content-Type": content_type, "Idempotency-Key": secrets.token_hex(16)}
            answer = self._call("POST", "/upload", data=body, headers=headers).json()
        picture = Picture(answer["job_id"], answer["width"], answer["height"])
        self._open.append(picture.job)
        return picture

    def preview(self, picture: Picture, point: Sequence[float]) -> None:
        """Ask for the outline at one point; felt."""
        body = {"job_id": picture.job, "points": [list(point)], "normalized": True}
        with self.felt(records.PREVIEW, picture.job):
            answer = self._call("POST", "/preview", job=picture.job, json=body).json()
            if not answer["polygons"] or not 0 < answer["area"] < picture.width * picture.height:
                raise WrongAnswerError(f"a preview without an object: area {answer['area']}")

    def segment(self, picture: Picture, points: Sequence[Sequence[float]], outputs: Sequence[str]) -> float:
        """Ask for objects to be cut out and removed. Answers when it was asked, `time.perf_counter()`."""
        body = {
            "coordinates_list": [list(point) for point in points],
            "normalized": True,
            "outputs": list(outputs),
            "dilate_px": RING_PX,
        }
        asked = time.perf_counter()
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        path = f"/segment?job_id={picture.job}"
        self._call("POST", path, "/segment", job=picture.job, json=body, headers=headers)
        return asked

    def wait(self, picture: Picture, asked: float, every_s: float) -> dict[str, Any]:
        """Poll until the job is ready; felt from when it was asked for. Answers its status."""
        with self.felt(records.READY, picture.job, began=asked):
            while True:
                status: dict[str, Any] = self._call(
                    "GET", f"/status/{picture.job}", "/status", job=picture.job
                ).json()
                if status["status"] == "ready":
                    return status
                if status["status"] == "error":
                    raise WrongAnswerError(f"the job ended as error: {status['error']}")
                if time.perf_counter() - asked > PATIENCE_S:
                    raise WrongAnswerError(f"the job is still {status['stage']} after {PATIENCE_S:g} s")
                self._pause(every_s)

    def download(self, picture: Picture, names: Sequence[str]) -> dict[str, bytes]:
        """Download files one after the other; felt together."""
        with self.felt(records.DOWNLOADED, picture.job):
            return {name: self._file(picture, name) for name in names}

    def download_slowly(self, picture: Picture, name: str, parts: int, pause_s: float) -> bytes:
        """Download a file in parts with pauses between, as over a bad line; the pauses are the user's."""
        data, size = b"", None
        while size is None or len(data) < size:
            if data:
                self._pause(pause_s)
            step = (size or 1 << 16) // parts + 1
            answer = self._call(
                *("GET", f"/download/{picture.job}/{name}", "/download in parts"),
                job=picture.job,
                expect=206,
                headers={"Range": f"bytes={len(data)}-{len(data) + step}"},
            )
            data += answer.content
            size = int(answer.headers["content-range"].rpartition("/")[2])
        return data

    def check(self, picture: Picture, files: dict[str, bytes], objects: int) -> None:
        """Look at the results: size always, pixels outside the ring of some of them."""
        for name, data in files.items():
            if name.startswith(("mask", "inpainted", "full")) and png_size(data) != (
                picture.width,
                picture.height,
            ):
                self._checked(picture, f"{name} is {png_size(data)} px, not {picture.width, picture.height}")
        if "full_inpainted.png" not in files or self.rng.random() >= CHECKED:
            return
        masks = [self._file(picture, f"mask_{index}.png") for index in range(objects)]
        changed = changed_outside(
            self._file(picture, "original.png"), files["full_inpainted.png"], masks, RING_PX
        )
        self._checked(picture, f"{changed} pixels outside the ring are not the original's" if changed else "")

    def cancel(self, picture: Picture) -> None:
        """Clean up a job whatever it does, and see that it is gone."""
        began = time.perf_counter()
        self._clean_up(picture.job)
        self._call("GET", f"/status/{picture.job}", "/status of a deleted job", expect=404)
        self._user.report(records.CHECK, records.CANCELLED, time.perf_counter() - began, picture.job)

    def think(self, least_s: float, most_s: float) -> None:
        """Do nothing for a while."""
        self._pause(self.rng.uniform(least_s, most_s))

    def leave(self) -> None:
        """Clean up whatever is still there."""
        while self._open:
            self._clean_up(self._open[-1])

    @contextmanager
    def felt(self, what: str, job: str = "", began: float | None = None) -> Iterator[None]:
        """Report the time until the end of the context as what the user feels, from `began` on."""
        began = time.perf_counter() if began is None else began
        try:
            yield
        except WrongAnswerError as error:
            self._user.report(records.FELT, what, time.perf_counter() - began, job, error)
            raise
        self._user.report(records.FELT, what, time.perf_counter() - began, job)

    def _pause(self, seconds: float) -> None:
        time.sleep(seconds * self._user.pace)  # Locust has made it cooperative

    def _checked(self, picture: Picture, wrong: str) -> None:
        error = WrongAnswerError(wrong) if wrong else None
        self._user.report(records.CHECK, "pixels", 0.0, picture.job, error)
        if error is not None:
            raise error

    def _file(self, picture: Picture, name: str) -> bytes:
        answer = self._call("GET", f"/download/{picture.job}/{name}", "/download", job=picture.job)
        return bytes(answer.content)

    def _clean_up(self, job: str) -> None:
        self._call("DELETE", f"/cleanup/{job}", "/cleanup", job=job)
        self._open.remove(job)

    # Any: Locust's client takes and gives what it likes.
    def _call(
        self, method: str, path: str, name: str = "", *, job: str = "", expect: int = 200, **options: Any
    ) -> Any:
        """One call, tried again while the service asks for that. Refusals are reported under a name apart."""
        name, deadline = name or path, time.monotonic() + PATIENCE_S
        while True:
            with self._http.request(
                method, path, name=name, catch_response=True, context={"job": job}, **options
            ) as answer:
                if answer.status_code == expect:
                    answer.success()
                    return answer
                pause_s = retry_after.pause_s(answer.status_code, answer.headers or {}, LONGEST_PAUSE_S)
                if pause_s is None or time.monotonic() + pause_s > deadline:
                    what = (answer.text or "")[:160] or getattr(answer, "error", "")
                    told = f"{method} {name} answers {answer.status_code}: {what}"
                    answer.failure(told)
                    raise WrongAnswerError(told)
                answer.request_meta["name"] = f"{name} refused"
                answer.request_meta["context"]["refused"] = True
                answer.success()
            time.sleep(pause_s)


def _multipart(data: bytes) -> tuple[bytes, str]:
    """A form with one file, and its content type."""
    mark = secrets.token_hex(16)
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n\r\n'
    return head.encode() + data + f"\r\n--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"
