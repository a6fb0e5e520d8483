"""What clients do in a day, as one visit each: the mixed load of the soak and overload trials.

Owns the mix and what each call must answer. A visit notes every answer that it did not expect; it
never raises for the service's faults.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from trials.scenes import OBJECTS, SCENES, photo, repeated_photo

SIZES = ((320, 240), (640, 480), (1024, 768), (1600, 1200), (480, 800))
FORMATS = ("JPEG", "JPEG", "PNG", "WEBP")
PATIENCE_S = 180.0  # longest that a visit waits for its job


@dataclass
class Tally:
    """What happened to all visits; safe to add to from many threads."""

    visits: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, name: str, status: int, seconds: float) -> None:
        """One answer."""
        with self._lock:
            self.calls[f"{name} {status}"] += 1
            self.seconds[name].append(seconds)

    def fault(self, text: str) -> None:
        """One thing that should not have happened."""
        with self._lock:
            self.faults.append(text)

    def visit(self, kind: str) -> None:
        """One visit has ended."""
        with self._lock:
            self.visits[kind] += 1


class Visitor:
    """Makes visits to one service; each with choices of its own, drawn from its seed."""

    def __init__(
        self,
        url: str,
        tally: Tally,
        *,
        key: str | None = None,
        sizes: Sequence[tuple[int, int]] = SIZES,
        abandoned: float = 0.2,
    ) -> None:
        """`sizes` of the pictures, px; `abandoned`: the share of jobs that are left to expire."""
        self._sizes, self._abandoned = sizes, abandoned
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
        self._api = httpx.Client(base_url=url, timeout=60, headers=headers, limits=limits)
        self.tally = tally

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def visit(self, seed: int) -> None:
        """One visit, from upload to leaving."""
        rng = random.Random(seed)
        kinds: dict[str, tuple[float, Callable[[random.Random], None]]] = {
            "job": (0.55, self._whole_job),
            "cut out only": (0.10, self._cut_out_only),
            "preview only": (0.10, self._previews_only),
            "cancelled": (0.10, self._cancelled),
            "refused upload": (0.10, self._refused_upload),
            "segmented again": (0.05, self._again),
        }
        kind = rng.choices(list(kinds), [share for share, _ in kinds.values()])[0]
        try:
            kinds[kind][1](rng)
        except (httpx.HTTPError, AssertionError, KeyError, ValueError) as error:
            self.tally.fault(f"{kind} (seed {seed}): {type(error).__name__}: {error}")
        self.tally.visit(kind)

    def _call(
        self, name: str, method: str, path: str, expect: tuple[int, ...], **more: Any
    ) -> httpx.Response:
        started = time.perf_counter()
        answer = self._api.request(method, path, **more)
        self.tally.call(name, answer.status_code, time.perf_counter() - started)
        assert answer.status_code in expect, f"{name} answers {answer.status_code}: {answer.text[:200]}"
        return answer

    def _upload(self, rng: random.Random) -> str:
        width, height = rng.choice(self._sizes)
        # Half of the pictures come again, so that embeddings are found as well as made.
        kind = rng.choice(FORMATS)
        if rng.random() < 0.5:
            data = repeated_photo(width, height, kind, rng.randrange(SCENES))
        else:
            data = photo(width, height, kind, rng.randrange(SCENES, 1 << 30))
        files = {"file": ("photo", data)}
        return str(self._call("upload", "POST", "/upload", (200,), files=files).json()["job_id"])

    def _segment(self, job_id: str, objects: int, **more: Any) -> None:
        body = {"coordinates_list": [list(point) for point in OBJECTS[:objects]], "normalized": True, **more}
        self._call("segment", "POST", "/segment", (200,), params={"job_id": job_id}, json=body)

    def _preview(self, rng: random.Random, job_id: str) -> None:
        body = {"job_id": job_id, "points": [rng.choice(OBJECTS)], "normalized": True}
        accept = rng.choice(("application/json", "image/png"))
        self._call("preview", "POST", "/preview", (200, 422), json=body, headers={"Accept": accept})

    def _wait(self, rng: random.Random, job_id: str) -> dict[str, Any]:
        if rng.random() < 0.5:
            self._follow(job_id, leave_early=rng.random() < 0.5)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status: dict[str, Any] = self._call("status", "GET", f"/status/{job_id}", (200,)).json()
            if status["status"] in ("ready", "error"):
                # A tap that hits too small a mask is the picture's fault; anything else is ours.
                assert status["error"] is None or "mask too small" in status["error"], status["error"]
                return status
            assert time.monotonic() < deadline, f"not ended after {PATIENCE_S:g} s: {status}"
            time.sleep(0.2)

    def _follow(self, job_id: str, leave_early: bool) -> None:
        started = time.perf_counter()
        with self._api.stream("GET", f"/events/{job_id}") as stream:
            self.tally.call("events", stream.status_code, time.perf_counter() - started)
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    data = json.loads(line.removeprefix("data: "))
                    if data["status"] != "processing" or (leave_early and data["progress"] > 20):
                        return

    def _download(self, rng: random.Random, status: dict[str, Any]) -> None:
        job_id, files = status["job_id"], status["files"]
        for name in rng.sample(files, min(2, len(files))):
            path = f"/download/{job_id}/{name}"
            whole = self._call("download", "GET", path, (200,)).content
            part = self._call("range", "GET", path, (206,), headers={"Range": "bytes=10-"}).content
            assert whole[10:] == part, f"a range of {name} differs from the whole"
        if status["status"] == "ready" and rng.random() < 0.3:
            self._call("archive", "GET", f"/download/{job_id}/archive.zip", (200,))

    def _leave(self, rng: random.Random, job_id: str) -> None:
        if rng.random() >= self._abandoned:
            self._call("cleanup", "DELETE", f"/cleanup/{job_id}", (200,))

    def _whole_job(self, rng: random.Random) -> None:
        job_id = self._upload(rng)
        for _ in range(rng.randrange(3)):
            self._preview(rng, job_id)
        self._segment(job_id, rng.choice((1, 1, 3)), format=rng.choice(("png", "jpeg", "webp")))
        self._download(rng, self._wait(rng, job_id))
        self._leave(rng, job_id)

    def _cut_out_only(self, rng: random.Random) -> None:
        job_id = self._upload(rng)
        self._segment(job_id, 1, outputs=["masks", "cropped"])
        self._download(rng, self._wait(rng, job_id))
        self._leave(rng, job_id)

    def _previews_only(self, rng: random.Random) -> None:
        job_id = self._upload(rng)
        for _ in range(3):
            self._preview(rng, job_id)
        self._leave(rng, job_id)

    def _cancelled(self, rng: random.Random) -> None:
        job_id = self._upload(rng)
        self._segment(job_id, 3)
        time.sleep(rng.random() * 2)
        self._call("cleanup", "DELETE", f"/cleanup/{job_id}", (200,))
        self._call("status", "GET", f"/status/{job_id}", (404,))

    def _again(self, rng: random.Random) -> None:
        job_id = self._upload(rng)
        self._segment(job_id, 1)
        self._wait(rng, job_id)
        self._segment(job_id, 2, outputs=["cropped"])
        self._download(rng, self._wait(rng, job_id))
        self._leave(rng, job_id)

    def _refused_upload(self, rng: random.Random) -> None:
        good = repeated_photo(*rng.choice(self._sizes), "PNG", 0)
        data = rng.choice((b"no picture at all", b"", good[: rng.randrange(40, len(good) // 2)]))
        answer = self._call("refused", "POST", "/upload", (400,), files={"file": ("photo", data)})
        assert answer.json()["detail"].startswith("Upload failed: "), answer.text
