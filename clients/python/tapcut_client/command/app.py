"""The `tapcut` command: its subcommands, options and exit codes.

Exit codes: 0 all done, 1 some pictures failed, 2 the command is wrong, 3 the service cannot be reached,
4 it does not accept the key, 130 interrupted. Other packages add subcommands by the entry point group
"tapcut.commands" (the server adds `serve` and `doctor`).
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from rich.console import Console

from tapcut_client.async_client import AsyncClient
from tapcut_client.calls import DEFAULT_URL
from tapcut_client.client import Client
from tapcut_client.command.batch import Kind, failed, run_batch
from tapcut_client.command.kinds import extract_kind, remove_kind
from tapcut_client.command.prompts import PromptError, prompts_from_options, read_table
from tapcut_client.command.report import BarReport, JsonReport, Report, say
from tapcut_client.command.terminal import drawn, tinted
from tapcut_client.command.work import Ledger, Work, WorkError, find_pictures, plan
from tapcut_client.errors import ConnectionFailed, TapcutError, Unauthorized
from tapcut_client.models import ObjectPrompt, Polygon
from tapcut_client.pictures import to_image
from tapcut_client.retry import RetryPolicy

FAILED, WRONG, UNREACHABLE, REFUSED, INTERRUPTED = 1, 2, 3, 4, 130
CODES: dict[type[Exception], int] = {
    PromptError: WRONG,
    WorkError: WRONG,
    ConnectionFailed: UNREACHABLE,
    Unauthorized: REFUSED,
    TapcutError: FAILED,
}

app = typer.Typer(
    name="tapcut",
    help="Tap an object in a photo: get it cut out, or get the photo back without it.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


class Format(StrEnum):
    """File format of a cleaned picture."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"


Pictures = Annotated[
    list[Path], typer.Argument(help="Pictures, folders, or patterns in quotes.", metavar="PICTURE")
]
At = Annotated[
    list[str],
    typer.Option("--at", metavar="X,Y", help="A tap; again for another object; X,Y:X,Y for two on one."),
]
Not = Annotated[list[str], typer.Option("--not", metavar="X,Y", help="A tap on what is not meant.")]
Box = Annotated[list[str], typer.Option("--box", metavar="X0,Y0,X1,Y1", help="A box around an object.")]
Points = Annotated[
    Path | None, typer.Option("--points", help="CSV or JSON with the taps of many pictures.", dir_okay=False)
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Result file, or folder for several.")]
Url = Annotated[str, typer.Option("--url", envvar="TAPCUT_URL", help="The service.")]
Key = Annotated[
    str | None, typer.Option("--api-key", envvar="TAPCUT_API_KEY", help="Its key.", show_default=False)
]
Parallel = Annotated[int, typer.Option("--parallel", "-j", min=1, max=64, help="Pictures at once, at most.")]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON a picture on standard output.")]
Again = Annotated[bool, typer.Option("--again", help="Also what an earlier run has done.")]


@app.command()
def remove(
    pictures: Pictures,
    at: At = [],  # noqa: B006  typer copies it
    negative: Not = [],  # noqa: B006
    box: Box = [],  # noqa: B006
    points: Points = None,
    output: Output = None,
    format: Annotated[Format | None, typer.Option(help="Default: by the result's name, else png.")] = None,
    parallel: Parallel = 8,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    json: Json = False,
    again: Again = False,
) -> None:
    """The pictures without the objects: photo.clean.png."""
    by_name = {".jpg": Format.JPEG, ".jpeg": Format.JPEG, ".webp": Format.WEBP}
    chosen = format or by_name.get(output.suffix.lower() if output else "", Format.PNG)
    kind = remove_kind(chosen)
    _batch(kind, ".clean", pictures, at, negative, box, points, output, parallel, url, api_key, json, again)


@app.command()
def extract(
    pictures: Pictures,
    at: At = [],  # noqa: B006
    negative: Not = [],  # noqa: B006
    box: Box = [],  # noqa: B006
    points: Points = None,
    output: Output = None,
    masks: Annotated[bool, typer.Option("--masks", help="Also the masks: photo.cut.mask.png.")] = False,
    parallel: Parallel = 8,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    json: Json = False,
    again: Again = False,
) -> None:
    """The objects with transparent background: photo.cut.png, or photo.cut-0.png and so on."""
    kind = extract_kind(masks)
    _batch(kind, ".cut", pictures, at, negative, box, points, output, parallel, url, api_key, json, again)


@app.command()
def preview(
    picture: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    at: At = [],  # noqa: B006
    negative: Not = [],  # noqa: B006
    box: Box = [],  # noqa: B006
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the tinted picture here instead.")
    ] = None,
    view: Annotated[bool, typer.Option("--open", help="Open it in the system's viewer.")] = False,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
) -> None:
    """Show what a tap selects, drawn in the terminal."""
    with _exit_codes():
        objects = prompts_from_options(at, negative, box)
        if not objects:
            raise WorkError("say which object: --at X,Y or --box X0,Y0,X1,Y1")
        with Client(url, api_key=api_key) as client:
            polygons, image = _outlined(client, picture, objects)
        result = tinted(image, polygons)
        if output is not None:
            result.save(output)
            say(f"written to {output}")
        elif not view:
            size = shutil.get_terminal_size()
            Console().print(drawn(result, min(size.columns, 100), size.lines - 4))
        if view:
            result.show()


def _outlined(
    client: Client, picture: Path, objects: tuple[ObjectPrompt, ...]
) -> tuple[list[Polygon], Image.Image]:
    job = client.upload(picture)
    try:
        polygons: list[Polygon] = []
        for one in objects:
            found = client.preview(job.job_id, one.points, labels=one.labels, box=one.box).outline
            polygons += found.polygons
            say(f"score {found.score:.2f}, {found.area} pixels, box {found.bbox}")
        return polygons, to_image(client.download(job.job_id, "original.png"))
    finally:
        client.cleanup(job.job_id)


def _batch(
    kind: Kind,
    ending: str,
    pictures: list[Path],
    at: list[str],
    negative: list[str],
    box: list[str],
    points: Path | None,
    output: Path | None,
    parallel: int,
    url: str,
    api_key: str | None,
    json: bool,
    again: bool,
) -> None:
    with _exit_codes():
        objects = prompts_from_options(at, negative, box)
        table = read_table(points) if points is not None else None
        works, into_folder = plan(find_pictures(pictures), objects, table, output, ending)
        with Client(url, api_key=api_key) as client:
            client.health()
        ledgers = _ledgers(works) if into_folder and not again and len(works) > 1 else {}
        report: Report = JsonReport() if json else BarReport(len(works))

        def connect(policy: RetryPolicy) -> AsyncClient:
            return AsyncClient(url, api_key=api_key, retry=policy)

        with report:
            outcomes = asyncio.run(run_batch(connect, works, kind, ledgers, parallel, report.listener()))
        bad = failed(outcomes)
        if len(works) > 1:
            skipped = sum(outcome.skipped for outcome in outcomes)
            say(f"{len(works) - len(bad) - skipped} done, {skipped} were there, {len(bad)} failed")
        if bad:
            raise typer.Exit(FAILED)


def _ledgers(works: list[Work]) -> dict[Path, Ledger]:
    folders = {work.target.parent for work in works}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return {folder: Ledger(folder) for folder in folders}


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Turns errors into one sentence and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        say("interrupted; what is done is kept, the same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None
    except (PromptError, WorkError, TapcutError, BaseExceptionGroup) as error:
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        for kind, code in CODES.items():
            if isinstance(cause, kind):
                hint = ": is it running? (--url, TAPCUT_URL)" if code == UNREACHABLE else ""
                say(f"tapcut: {cause}{hint}")
                raise typer.Exit(code) from error
        raise


def main() -> None:
    """Entry point of the command."""
    for point in entry_points(group="tapcut.commands"):
        app.command(point.name)(point.load())
    app(prog_name="tapcut")


if __name__ == "__main__":
    main()
