"""The `tapcut` command: its subcommands and options. Exit codes are `exit_codes.py`'s.

What needs httpx or Pillow is imported where it is called: help and completion must not wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tapcut_client.command import options
from tapcut_client.command.completion import completion
from tapcut_client.command.exit_codes import EXPLAINED, exit_codes
from tapcut_client.command.jobs import cleanup, download, status
from tapcut_client.command.kinds import extract_kind, remove_kind
from tapcut_client.command.options import (
    Again,
    At,
    Box,
    Format,
    Json,
    Keep,
    Key,
    Mask,
    Normalized,
    Not,
    Output,
    Overwrite,
    Parallel,
    Pictures,
    Points,
    Quiet,
    Timeout,
    Url,
)
from tapcut_client.command.prompts import prompts_from_options
from tapcut_client.command.server_commands import add_server_commands
from tapcut_client.command.work import WorkError
from tapcut_client.defaults import DEFAULT_URL, VERSION
from tapcut_client.models import ObjectPrompt

app = typer.Typer(
    name="tapcut",
    help="Tap an object in a photo: get it cut out, or get the photo back without it.",
    epilog=EXPLAINED,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tapcut {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", metavar="", callback=_tell_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    pass


@app.command(epilog=EXPLAINED)
def remove(
    pictures: Pictures = [],  # noqa: B006  typer copies it
    at: At = [],  # noqa: B006
    negative: Not = [],  # noqa: B006
    box: Box = [],  # noqa: B006
    mask: Mask = [],  # noqa: B006
    normalized: Normalized = False,
    points: Points = None,
    output: Output = None,
    format: Annotated[Format | None, typer.Option(help="Default: by the result's name, else png.")] = None,
    each: Annotated[
        bool, typer.Option("--each", metavar="", help="A picture an object, without that one alone.")
    ] = False,
    dilate: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=512,
            metavar="PX",
            help="Ring around the object that is filled too.",
            show_default="in proportion",
        ),
    ] = None,
    feather: Annotated[
        int | None,
        typer.Option(
            min=0, max=512, metavar="PX", help="Soft outer part of the ring.", show_default="half of it"
        ),
    ] = None,
    parallel: Parallel = 8,
    timeout: Timeout = None,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    again: Again = False,
    keep: Keep = False,
) -> None:
    """The pictures without the objects: photo.clean.png."""
    with exit_codes(url):
        from tapcut_client.command.batch import Order
        from tapcut_client.command.run import Typed, run

        chosen = options.format_for(format, output, options.BY_SUFFIX)
        kind = remove_kind(chosen, each, normalized, dilate, feather)
        objects = _objects(at, negative, box, mask)
        typed = Typed(pictures, objects, points, output, ".clean", url, api_key, json, quiet, again)
        run(typed, Order(kind, parallel, overwrite or again, keep, timeout))


@app.command(epilog=EXPLAINED)
def extract(
    pictures: Pictures = [],  # noqa: B006
    at: At = [],  # noqa: B006
    negative: Not = [],  # noqa: B006
    box: Box = [],  # noqa: B006
    mask: Mask = [],  # noqa: B006
    normalized: Normalized = False,
    points: Points = None,
    output: Output = None,
    masks: Annotated[
        bool, typer.Option("--masks", metavar="", help="Also the masks: photo.cut.mask.png.")
    ] = False,
    parallel: Parallel = 8,
    timeout: Timeout = None,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    again: Again = False,
    keep: Keep = False,
) -> None:
    """The objects with transparent background: photo.cut.png, or photo.cut-0.png and so on."""
    with exit_codes(url):
        from tapcut_client.command.batch import Order
        from tapcut_client.command.run import Typed, run

        options.format_for(None, output, {".png": Format.PNG})
        objects = _objects(at, negative, box, mask)
        kind = extract_kind(masks, normalized)
        typed = Typed(pictures, objects, points, output, ".cut", url, api_key, json, quiet, again)
        run(typed, Order(kind, parallel, overwrite or again, keep, timeout))


@app.command(epilog=EXPLAINED)
def preview(
    picture: options.Picture,
    at: At = [],  # noqa: B006
    negative: Not = [],  # noqa: B006
    box: Box = [],  # noqa: B006
    normalized: Normalized = False,
    mask_only: Annotated[
        bool,
        typer.Option(
            "--mask-only", metavar="", help="The mask alone, black and white, not the tinted picture."
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it here instead of drawing it."),
    ] = None,
    view: Annotated[bool, typer.Option("--open", metavar="", help="Open it in the system's viewer.")] = False,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    json: Json = False,
) -> None:
    """Show what a tap selects, drawn in the terminal."""
    with exit_codes(url):
        from tapcut_client.client import Client
        from tapcut_client.command.look import outlined, require_picture_name, show, tell

        objects = _objects(at, negative, box, ())
        if not objects:
            raise WorkError("say which object: --at X,Y or --box X0,Y0,X1,Y1")
        if output is not None:
            require_picture_name(output)
        with Client(url, api_key=api_key) as client:
            client.health()  # answers at once where nothing is there
            job, outlines, image = outlined(client, picture, objects, normalized)
        tell(job, outlines, json=json)
        if not json or view or output is not None:
            show(job, outlines, image, mask=mask_only, output=output, view=view)


app.command(epilog=EXPLAINED)(status)
app.command()(download)
app.command()(cleanup)
app.command()(completion)


def _objects(
    at: list[str], negative: list[str], box: list[str], masks: Sequence[Path]
) -> tuple[ObjectPrompt, ...]:
    drawn = tuple(ObjectPrompt(mask=path.read_bytes()) for path in masks)
    return (*prompts_from_options(at, negative, box), *drawn)


def main() -> None:
    """Entry point of the command."""
    add_server_commands(app)
    app(prog_name="tapcut")


if __name__ == "__main__":
    main()
