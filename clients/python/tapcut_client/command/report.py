"""What a batch shows: bars on a terminal, plain lines elsewhere, lines of JSON for scripts.

Owns all printing. Results and JSON go to standard output, everything else to standard error.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from tapcut_client.command.batch import Listener, Outcome
from tapcut_client.command.say import made_smaller, say

if TYPE_CHECKING:
    from tapcut_client.command.work import Work
    from tapcut_client.models import Status

COLOURS = {"done": "green", "there": "dim", "failed": "red"}


class Report(AbstractContextManager["Report"], Protocol):
    """Shows a batch; a context manager."""

    def listener(self) -> Listener:
        """What the batch tells."""


def _word(outcome: Outcome) -> str:
    return "failed" if outcome.error is not None else "there" if outcome.skipped else "done"


def _what(outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"{outcome.work.picture.name}: {outcome.error}"
    text = f"{outcome.work.picture.name} -> {', '.join(map(str, outcome.files))}"
    return text + made_smaller(outcome.run.upload if outcome.run else None)


class JsonReport:
    """One line of JSON for each picture that ended."""

    def listener(self) -> Listener:
        """What the batch tells."""
        return Listener(lambda _: None, lambda *_: None, lambda *_: None, lambda *_: None, self._ended)

    def _ended(self, outcome: Outcome) -> None:
        run = outcome.run
        fields = {
            "picture": str(outcome.work.picture),
            "files": [str(file) for file in outcome.files],
            "skipped": outcome.skipped,
            "error": outcome.error,
            "job_id": run.upload.job_id if run else None,
            "width": run.upload.width if run else None,
            "height": run.upload.height if run else None,
            "objects": [
                {
                    "score": one.outline.score,
                    "area": one.outline.area,
                    "bbox": one.outline.bbox,
                    "crop_offset": one.crop_offset,
                    "warnings": one.warnings,
                }
                for one in (run.status.objects if run else ())
            ],
        }
        print(json.dumps(fields), flush=True)

    def __enter__(self) -> JsonReport:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class LineReport:
    """A line for each picture that ended, and for the first of each row of waits; for logs and pipes."""

    def __init__(self, total: int, quiet: bool = False) -> None:
        self._total, self._quiet = total, quiet
        self._ended_count = 0
        self._waits = False

    def listener(self) -> Listener:
        """What the batch tells."""
        return Listener(lambda _: None, lambda *_: None, lambda *_: None, self._waiting, self._ended)

    def _waiting(self, seconds: float, problem: Exception) -> None:
        if not self._waits and not self._quiet:
            say(f"waiting for the service: {problem}")
        self._waits = True

    def _ended(self, outcome: Outcome) -> None:
        self._waits = False
        self._ended_count += 1
        count = f"[{self._ended_count:{len(str(self._total))}}/{self._total}] " if self._total > 1 else ""
        if outcome.error is not None or not self._quiet:
            say(f"{count}{_word(outcome):6} {_what(outcome)}")

    def __enter__(self) -> LineReport:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class BarReport:
    """A bar for the batch and one for each picture under way, each with stage and time left."""

    def __init__(self, total: int) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", table_column=_column(3), markup=False),
            BarColumn(bar_width=None, table_column=_column(4)),
            TextColumn("{task.fields[done]}", justify="right", markup=False),
            TextColumn("{task.fields[stage]}", table_column=_column(4), markup=False),
            _TimeLeft(),
            console=self._console,
            transient=True,
            expand=True,
        )
        self._total = total
        self._ended_count = self._skipped = 0
        self._all = self._progress.add_task(
            "all pictures", total=total, stage="", done=f"0/{total}", visible=total > 1, start=False
        )
        self._bars: dict[Path, TaskID] = {}

    def listener(self) -> Listener:
        """What the batch tells."""
        return Listener(self._started, self._sent, self._status, self._waiting, self._ended)

    def _started(self, work: Work) -> None:
        if not self._bars and not self._progress.tasks[0].started:
            self._progress.start_task(self._all)
        name = work.picture.name
        self._bars[work.target] = self._progress.add_task(name, total=100, stage="uploading", done="")

    def _sent(self, work: Work, sent: int, size: int) -> None:
        done = f"{100 * sent // size}%" if size else ""
        self._progress.update(self._bars[work.target], stage="uploading", done=done)

    def _status(self, work: Work, status: Status) -> None:
        stage = "fetching" if status.status == "ready" else status.stage.replace("_", " ")
        if status.queue_position is not None:
            stage = f"queued, place {status.queue_position}"
        self._progress.update(
            self._bars[work.target], completed=status.progress, stage=stage, done=f"{status.progress}%"
        )
        self._count()

    def _waiting(self, seconds: float, problem: Exception) -> None:
        self._progress.update(self._all, stage=f"waiting {seconds:.0f} s: {problem}", visible=True)

    def _ended(self, outcome: Outcome) -> None:
        self._ended_count += 1
        self._skipped += outcome.skipped
        bar = self._bars.pop(outcome.work.target, None)
        if bar is not None:
            self._progress.remove_task(bar)
        self._count(stage="")
        word = _word(outcome)
        self._console.print(
            Text.assemble((f"{word:6}", COLOURS[word]), " ", _what(outcome)), highlight=False, soft_wrap=True
        )

    def _count(self, **fields: str) -> None:
        # What was there before took no time, and what is half done is half done.
        tasks = self._progress.tasks
        under_way = sum(task.completed / 100 for task in tasks if task.id in self._bars.values())
        self._progress.update(
            self._all,
            total=self._total - self._skipped,
            completed=self._ended_count - self._skipped + under_way,
            done=f"{self._ended_count}/{self._total}",
            **fields,  # type: ignore[arg-type]  # free fields, all text
        )

    def __enter__(self) -> BarReport:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _column(ratio: int) -> Column:
    return Column(ratio=ratio, no_wrap=True, overflow="ellipsis")


class _TimeLeft(ProgressColumn):
    """Time left at the pace so far, as m:ss."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        share = task.percentage / 100
        if not task.elapsed or share < 0.03:
            return Text("  -:--", style="dim")
        left = task.elapsed * (1 - share) / share
        return Text(f"{int(left) // 60:3}:{int(left) % 60:02}", style="cyan")


class Pace:
    """How long the batch has taken."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __str__(self) -> str:
        seconds = time.monotonic() - self._start
        return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02} min"


def report_for(total: int, *, json: bool, quiet: bool) -> Report:
    """The report that fits where the output goes."""
    if json:
        return JsonReport()
    return LineReport(total, quiet) if quiet or not sys.stderr.isatty() else BarReport(total)
