"""Commands about the service and about jobs that were left there with `--keep`."""

from __future__ import annotations

import json as jsons
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tapcut_client.command.exit_codes import FAILED, exit_codes
from tapcut_client.command.options import Json, Key, Output, Url
from tapcut_client.command.say import say
from tapcut_client.defaults import DEFAULT_URL

# Of a job's files: an output that ends in one of them is meant as a file.
ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".json", ".zip"})

JobId = Annotated[str, typer.Argument(help="The job's id.", metavar="JOB")]


def status(
    job: Annotated[
        str | None, typer.Argument(help="A job's id; without it: the service.", metavar="[JOB]")
    ] = None,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    json: Json = False,
) -> None:
    """Say how the service is, or one job."""
    from tapcut_client.client import Client

    with exit_codes(url), Client(url, api_key=api_key) as client:
        if job is not None:
            found = client.status(job)
            error = f": {found.error}" if found.error else ""
            line = f"{found.status}, {found.progress}% ({found.stage}){error}"
            typer.echo(jsons.dumps(asdict(found)) if json else "\n".join([line, *found.files]))
            return
        health = client.health()
        typer.echo(jsons.dumps(health) if json else _in_words(health))
        if health["status"] != "ok":
            raise typer.Exit(FAILED)


def _in_words(health: dict[str, object]) -> str:
    lines = [str(health["status"])]
    checkpoints = health.get("checkpoints")
    if isinstance(checkpoints, dict):
        lines += [f"{name}: {one['name']} on {one['device']}" for name, one in checkpoints.items()]
    queue = health.get("queue")
    if isinstance(queue, dict):
        lines.append(f"queue: {queue['waiting']} waiting, {queue['running']} running, limit {queue['limit']}")
    problems = health.get("problems")
    return "\n".join([*lines, *(problems if isinstance(problems, list) else ())])


def download(
    job: JobId,
    files: Annotated[
        list[str] | None, typer.Argument(help="Files of it; all when none is named.", metavar="[FILE]...")
    ] = None,
    output: Output = None,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
) -> None:
    """Fetch files of a job; goes on where an earlier try broke off."""
    from tapcut_client.client import Client

    with exit_codes(url), Client(url, api_key=api_key) as client:
        names = files or client.status(job).files
        for name in names:
            path = (output or Path()) / Path(name).name
            if output is not None and len(names) == 1 and _is_file_name(output):
                path = output
            path.parent.mkdir(parents=True, exist_ok=True)
            say(f"done   {client.download_to(job, name, path)}")


def _is_file_name(output: Path) -> bool:
    return output.suffix.lower() in ENDINGS and not output.is_dir()


def cleanup(
    jobs: Annotated[list[str], typer.Argument(help="Ids of jobs.", metavar="JOB...")],
    url: Url = DEFAULT_URL,
    api_key: Key = None,
) -> None:
    """Delete jobs and their files at the service."""
    from tapcut_client.client import Client

    with exit_codes(url), Client(url, api_key=api_key) as client:
        missing = [job for job in jobs if not client.cleanup(job)]
    for job in missing:
        say(f"tapcut: {job}: no such job (deleted or expired already)")
    if missing:
        raise typer.Exit(FAILED)
