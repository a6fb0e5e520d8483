"""Arguments and options that several commands share, and what of them does not fit together."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tapcut_client.command.prompts import PromptError


class Format(StrEnum):
    """File format of a cleaned picture."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"


BY_SUFFIX = {".png": Format.PNG, ".jpg": Format.JPEG, ".jpeg": Format.JPEG, ".webp": Format.WEBP}

Pictures = Annotated[
    list[Path],
    typer.Argument(
        help="Pictures, folders, or patterns in quotes ('photos/**/*.jpg'). May be left out with --points.",
        metavar="PICTURE",
        show_default=False,
    ),
]
Picture = Annotated[Path, typer.Argument(help="The picture.", metavar="PICTURE")]
At = Annotated[
    list[str],
    typer.Option(
        "--at",
        metavar="X,Y",
        help="A tap, in pixels of your picture; again for another object; X,Y:X,Y: two taps on one object.",
    ),
]
Not = Annotated[list[str], typer.Option("--not", metavar="X,Y", help="A tap on what is not meant.")]
Box = Annotated[list[str], typer.Option("--box", metavar="X0,Y0,X1,Y1", help="A box around an object.")]
Mask = Annotated[
    list[Path],
    typer.Option(
        "--mask",
        metavar="FILE",
        help="An object as a mask: a PNG of your picture's size, white = object.",
    ),
]
Normalized = Annotated[
    bool,
    typer.Option(
        "--normalized", metavar="", help="Coordinates are 0..1 of width and height (pictures of all sizes)."
    ),
]
Points = Annotated[
    Path | None,
    typer.Option(
        "--points",
        metavar="FILE",
        help="CSV or JSON with the taps of many pictures; picture names are relative to it.",
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="PATH", help="Result file, or folder for several.")
]
Url = Annotated[str, typer.Option("--url", envvar="TAPCUT_URL", metavar="URL", help="The service.")]
Key = Annotated[
    str | None,
    typer.Option("--api-key", envvar="TAPCUT_API_KEY", metavar="KEY", help="Its key.", show_default=False),
]
Parallel = Annotated[
    int,
    typer.Option(
        "--parallel", "-j", min=1, max=64, metavar="N", help="Pictures at once, at most; fewer if it is full."
    ),
]
Json = Annotated[bool, typer.Option("--json", metavar="", help="JSON on standard output, a line a picture.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Say only what fails.")]
Again = Annotated[bool, typer.Option("--again", metavar="", help="Also what an earlier run has done.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", metavar="", help="Replace files that are there.")]
Keep = Annotated[
    bool, typer.Option("--keep", metavar="", help="Leave the job at the service (see `tapcut status`).")
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", min=0.1, metavar="S", help="Longest wait for one picture, s.", show_default=False
    ),
]


def format_for(wanted: Format | None, output: Path | None, allowed: dict[str, Format]) -> Format:
    """The results' format: as asked for, else by the name of the result's file, else png.

    Raises:
        PromptError: the file's name says something else, or a format that results do not have.
    """
    suffix = output.suffix.lower() if output is not None and not output.is_dir() else ""
    if suffix and suffix not in allowed:
        raise PromptError(f"{output}: results here are {', '.join(sorted(allowed))}; a folder has no ending")
    if suffix and wanted is not None and allowed[suffix] is not wanted:
        raise PromptError(f"{output} does not end like --format {wanted}: give one of the two")
    return wanted or allowed.get(suffix, Format.PNG)
