"""What a batch shows: bars on a terminal, lines of JSON for scripts.

Owns all printing. Results and JSON go to standard output, everything else to standard error.
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tapcut_client.command.batch import Listener, Outcome
from tapcut_client.command.work import Work
from tapcut_client.models import Status


class Report(AbstractContextManager["Report"], Protocol):
    """Shows a batch; a context manager."""

    def listener(self) -> Listener:
        """What the batch tells."""


class JsonReport:
    """One line of JSON for each picture that ended."""

    def listener(self) -> Listener:
        """What the batch tells."""
        return Listener(lambda _: None, lambda *_: None, lambda *_: None, self._ended)

    def _ended(self, outcome: Outcome) -> None:
        fields = {
            "picture": str(outcome.work.picture),
            "files": [str(file) for file in outcome.files],
            "skipped": outcome.skipped,
            "error": outcome.error,
        }
        print(json.dumps(fields), flush=True)

    def __enter__(self) -> JsonReport:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class BarReport:
    """A bar for the batch and one for each picture under way; a line for each that ended."""

    def __init__(self, total: int) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", table_column=None),
            BarColumn(),
            TextColumn("{task.fields[stage]}"),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
        )
        self._all = self._progress.add_task("all pictures", total=total, stage="", visible=total > 1)
        self._bars: dict[Path, TaskID] = {}

    def listener(self) -> Listener:
        """What the batch tells."""
        return Listener(self._started, self._status, self._waiting, self._ended)

    def _started(self, work: Work) -> None:
        self._bars[work.target] = self._progress.add_task(work.picture.name, total=100, stage="uploading")

    def _status(self, work: Work, status: Status) -> None:
        stage = status.stage
        if status.queue_position is not None:
            stage = f"queued, {status.queue_position}. in line"
        self._progress.update(self._bars[work.target], completed=status.progress, stage=stage)

    def _waiting(self, seconds: float, problem: Exception) -> None:
        self._progress.update(self._all, stage=f"waiting {seconds:.0f} s: {problem}")

    def _ended(self, outcome: Outcome) -> None:
        bar = self._bars.pop(outcome.work.target, None)
        if bar is not None:
            self._progress.remove_task(bar)
        self._progress.update(self._all, advance=1, stage="")
        name = outcome.work.picture.name
        if outcome.error is not None:
            self._console.print(f"[red]failed[/]   {name}: {outcome.error}", highlight=False)
        elif outcome.skipped:
            self._console.print(f"[dim]there[/]    {name}", highlight=False)
        else:
            written = ", ".join(str(file) for file in outcome.files)
            self._console.print(f"[green]done[/]     {name} -> {written}", highlight=False)

    def __enter__(self) -> BarReport:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def say(text: str) -> None:
    """One line to standard error."""
    print(text, file=sys.stderr, flush=True)
