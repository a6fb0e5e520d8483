"""The personas: what each kind of user does in one visit.

Owns their habits: what they upload, how long they think, how often they ask, what they take away.
Importing it loads Locust, which makes sockets and sleeping cooperative in the whole process.
"""

from __future__ import annotations

from typing import Any, ClassVar

from locust import FastHttpUser, between, task

from load_tests.day import Persona
from load_tests.pictures import camera_photo, screen_photo, some_objects
from load_tests.visit import Visit, WrongAnswerError

CUT_OUT = ("masks", "cropped")
EVERYTHING = (*CUT_OUT, "inpainted", "full_inpainted")


class Visitor(FastHttpUser):
    """Comes, makes one visit, rests, comes again."""

    abstract = True
    persona: ClassVar[Persona]
    wait_time = between(1.0, 2.0)
    pace: ClassVar[float] = 1.0  # of everything that is a human's: below 1 all go faster
    network_timeout = connection_timeout = 120.0
    concurrency = 1

    @task
    def come(self) -> None:
        """One visit. What went wrong is reported where it happened."""
        visit = Visit(self)
        try:
            self.visit(visit)
            visit.leave()
        except WrongAnswerError:
            try:
                visit.leave()
            except WrongAnswerError:
                return

    def visit(self, visit: Visit) -> None:
        """What this persona does."""
        raise NotImplementedError

    def context(self) -> dict[str, Any]:
        """Goes with every request that is reported."""
        return {"persona": self.persona.value}

    def report(
        self, kind: str, what: str, seconds: float, job: str, error: WrongAnswerError | None = None
    ) -> None:
        """Report something that is no single HTTP request, under the persona's name."""
        self.environment.events.request.fire(
            request_type=kind,
            name=f"{self.persona.value}: {what}",
            response_time=1000 * seconds,
            response_length=0,
            exception=error,
            context={**self.context(), "job": job, "what": what},
        )


class FirstTap(Visitor):
    """Uploads a photo, taps one object, takes both results."""

    persona = Persona.FIRST_TAP

    def visit(self, visit: Visit) -> None:
        """Upload, think, tap, wait, download."""
        picture = visit.upload(screen_photo(visit.rng))
        visit.think(0.6, 1.5)
        asked = visit.segment(picture, some_objects(visit.rng, 1), EVERYTHING)
        visit.wait(picture, asked, every_s=0.5)
        files = visit.download(picture, ("cropped_0.png", "full_inpainted.png", "result.json"))
        visit.check(picture, files, objects=1)


class RetapAndPreview(Visitor):
    """Looks for the right outline first, and asks for another object of the same picture afterwards."""

    persona = Persona.RETAP

    def visit(self, visit: Visit) -> None:
        """Several previews, a job, the same picture again."""
        picture = visit.upload(screen_photo(visit.rng))
        for _ in range(4):
            visit.think(0.4, 1.2)
            visit.preview(picture, some_objects(visit.rng, 1)[0])
        for outputs in (EVERYTHING, CUT_OUT):
            asked = visit.segment(picture, some_objects(visit.rng, 1), outputs)
            visit.wait(picture, asked, every_s=0.5)
            files = visit.download(picture, ("mask_0.png", "cropped_0.png"))
            visit.check(picture, files, objects=1)
            visit.think(0.5, 1.5)


class ThreeObjects(Visitor):
    """Removes three objects from one photo."""

    persona = Persona.THREE_OBJECTS
    wait_time = between(0.5, 1.0)

    def visit(self, visit: Visit) -> None:
        """Upload, tap three objects, wait, take the photo without them."""
        picture = visit.upload(screen_photo(visit.rng))
        visit.think(0.5, 1.0)
        asked = visit.segment(picture, some_objects(visit.rng, 3), EVERYTHING)
        visit.wait(picture, asked, every_s=0.5)
        visit.check(picture, visit.download(picture, ("full_inpainted.png",)), objects=3)


class ExtractOnly(Visitor):
    """Wants cut-outs, one after the other; nothing is inpainted for it."""

    persona = Persona.EXTRACT_ONLY
    wait_time = between(0.2, 0.6)

    def visit(self, visit: Visit) -> None:
        """Upload, tap, wait, take the cut-out."""
        picture = visit.upload(screen_photo(visit.rng))
        asked = visit.segment(picture, some_objects(visit.rng, 1), CUT_OUT)
        visit.wait(picture, asked, every_s=0.3)
        visit.check(picture, visit.download(picture, ("mask_0.png", "cropped_0.png")), objects=1)


class BatchImport(Visitor):
    """Brings a catalogue: many pictures from a camera in a row, then all jobs at once."""

    persona = Persona.BATCH_IMPORT
    pictures: ClassVar[int] = 8
    photo = staticmethod(camera_photo)

    def visit(self, visit: Visit) -> None:
        """Upload all, queue all, take each cut-out when its turn comes."""
        pictures = [visit.upload(self.photo(visit.rng)) for _ in range(self.pictures)]
        asked = [visit.segment(picture, some_objects(visit.rng, 1), CUT_OUT) for picture in pictures]
        for picture, began in zip(pictures, asked, strict=True):
            visit.wait(picture, began, every_s=0.5)
            visit.check(picture, visit.download(picture, ("mask_0.png", "cropped_0.png")), objects=1)


class SlowPoller(Visitor):
    """Has a phone in a pocket: asks seldom, takes the result late and over a bad line."""

    persona = Persona.SLOW_POLLER

    def visit(self, visit: Visit) -> None:
        """As a first tap, with everything slow."""
        picture = visit.upload(screen_photo(visit.rng))
        visit.think(2.0, 3.0)
        asked = visit.segment(picture, some_objects(visit.rng, 1), EVERYTHING)
        visit.wait(picture, asked, every_s=5.0)
        visit.think(3.0, 5.0)
        data = visit.download_slowly(picture, "full_inpainted.png", parts=6, pause_s=0.5)
        visit.check(picture, {"full_inpainted.png": data}, objects=1)


class Canceller(Visitor):
    """Changes its mind while the job is queued or under way."""

    persona = Persona.CANCELLER

    def visit(self, visit: Visit) -> None:
        """Upload, tap, delete."""
        picture = visit.upload(screen_photo(visit.rng))
        visit.segment(picture, some_objects(visit.rng, 3), EVERYTHING)
        visit.think(0.0, 1.2)
        visit.cancel(picture)


OF: dict[Persona, type[Visitor]] = {
    one.persona: one
    for one in (FirstTap, RetapAndPreview, ThreeObjects, ExtractOnly, BatchImport, SlowPoller, Canceller)
}
