"""One `remove` or `extract`, from what was typed to the exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from tapcut_client.async_client import AsyncClient
from tapcut_client.client import Client
from tapcut_client.command.batch import Order, Outcome, failed, run_batch
from tapcut_client.command.exit_codes import FAILED
from tapcut_client.command.ledger import Ledger
from tapcut_client.command.prompts import Table, read_table
from tapcut_client.command.report import Pace, report_for
from tapcut_client.command.say import say
from tapcut_client.command.work import Work, WorkError, find_pictures, plan
from tapcut_client.models import ObjectPrompt
from tapcut_client.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed, besides what is made of the pictures. `ending`: of results' names, as `.clean`."""

    pictures: Sequence[Path]
    objects: tuple[ObjectPrompt, ...]
    points: Path | None
    output: Path | None
    ending: str
    url: str
    api_key: str | None
    json: bool
    quiet: bool
    again: bool


def run(typed: Typed, order: Order) -> None:
    """Do it, and show it.

    Raises:
        typer.Exit: some pictures failed.
        PromptError, WorkError: it cannot be begun.
    """
    table = read_table(typed.points) if typed.points is not None else None
    if not typed.pictures and table is None:
        raise WorkError("name pictures, folders or patterns, or a table of points by --points")
    found = find_pictures(typed.pictures or (table.pictures() if table is not None else ()))
    works, into_folder = plan(found, typed.objects, table, typed.output, typed.ending)
    if table is not None and not typed.quiet:
        _tell_left_out(found, works, table)
    with Client(typed.url, api_key=typed.api_key) as client:
        client.health()  # answers at once where nothing is there
    ledgers = _ledgers(works, typed.again) if into_folder and len(works) > 1 else {}
    report, pace = report_for(len(works), json=typed.json, quiet=typed.quiet), Pace()

    def connect(policy: RetryPolicy) -> AsyncClient:
        return AsyncClient(typed.url, api_key=typed.api_key, retry=policy)

    with report:
        outcomes = asyncio.run(run_batch(connect, works, order, ledgers, report.listener()))
    if not typed.quiet:
        _sum_up(outcomes, pace)
    if order.keep_jobs and not typed.json:
        for outcome in outcomes:
            if outcome.run is not None:
                say(f"kept   {outcome.work.picture.name}: job {outcome.run.upload.job_id}")
    if failed(outcomes):
        raise typer.Exit(FAILED)


def _sum_up(outcomes: Sequence[Outcome], pace: Pace) -> None:
    if len(outcomes) > 1:
        bad, skipped = len(failed(outcomes)), sum(outcome.skipped for outcome in outcomes)
        say(f"{len(outcomes) - bad - skipped} done, {skipped} were there, {bad} failed, in {pace}")


def _tell_left_out(found: Sequence[Path], works: Sequence[Work], table: Table) -> None:
    """Nobody should believe that all is done when the table and the folder do not fit."""
    named = {table.name_of(path) for path in found}
    for name in [name for name in table.objects if name not in named]:
        say(f"left out {name}: in the table, but not among the pictures")
    without = len(found) - len(works)
    if without:
        say(f"left out {without} picture{'' if without == 1 else 's'} that the table does not name")


def _ledgers(works: Sequence[Work], again: bool) -> dict[Path, Ledger]:
    folders = {work.target.parent for work in works}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return {folder: Ledger(folder, forget=again) for folder in folders}
