"""`tapcut preview`: what a tap selects, without making anything of it."""

from __future__ import annotations

import json as jsons
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer
from PIL import Image
from rich.console import Console

from tapcut_client.client import Client
from tapcut_client.command.prompts import PromptError
from tapcut_client.command.say import made_smaller, say
from tapcut_client.command.terminal import drawn, lettered, mask_of, tinted, union
from tapcut_client.models import ObjectPrompt, Outline, Upload
from tapcut_client.pictures import to_image


def require_picture_name(path: Path) -> None:
    """Return when the name says in which format a picture is to be written.

    Raises:
        PromptError: it has another ending, or none.
    """
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise PromptError(
            f"{path} does not end like a picture: give it .png, .jpg, .webp, .tiff, .gif or .bmp at the end"
        )


def outlined(
    client: Client, picture: Path, objects: Sequence[ObjectPrompt], normalized: bool
) -> tuple[Upload, list[Outline], Image.Image]:
    """The upload, the outlines of all objects, and the picture whose pixels these are in, `original.png`.

    Leaves no job behind.
    """
    job = client.upload(picture)
    try:
        found = []
        for one in objects if normalized else job.in_frame(objects):
            answer = client.preview(
                job.job_id, one.points, labels=one.labels, box=one.box, normalized=normalized
            )
            found.append(answer.outline)
        return job, found, to_image(client.download(job.job_id, "original.png"))
    finally:
        client.cleanup(job.job_id)


def show(
    job: Upload,
    outlines: Sequence[Outline],
    picture: Image.Image,
    *,
    mask: bool,
    output: Path | None,
    view: bool,
) -> None:
    """Draw the selection in the terminal, or write or open it as a picture; `mask`: black and white alone."""
    selection = union([mask_of(picture.size, one.polygons) for one in outlines])
    result = selection if mask else tinted(picture, [one.polygons for one in outlines])
    if view and output is None:
        output = Path(tempfile.mkdtemp(prefix="tapcut-")) / "preview.png"
    if output is not None:
        result.save(output)
        say(f"written to {output}{made_smaller(job)}")
        if view and not _opened(output):
            say("tapcut: this machine has no viewer that could open it")
        return
    console, size = Console(), shutil.get_terminal_size()
    columns, rows = min(size.columns, 100), max(size.lines - 4, 8)
    if console.no_color or console.color_system is None:
        typer.echo(lettered(selection, columns, rows))
    else:
        console.print(drawn(result, columns, rows), soft_wrap=True, end="")


def _opened(path: Path) -> bool:
    if sys.platform.startswith("linux") and shutil.which("xdg-open") is None:
        return False
    return typer.launch(str(path)) == 0


def tell(job: Upload, outlines: Sequence[Outline], *, json: bool) -> None:
    """Scores, areas and boxes in pixels of the given picture, in words or as one line of JSON."""
    width, height = job.uploaded_width, job.uploaded_height
    given = [job.from_frame(one) for one in outlines]
    if json:
        objects = [asdict(one) for one in given]
        typer.echo(jsons.dumps({"width": width, "height": height, "objects": objects}))
        return
    for one in given:
        share = 100 * one.area / (width * height)
        say(f"score {one.score:.2f}, {one.area} pixels ({share:.1f} %), box {','.join(map(str, one.bbox))}")
