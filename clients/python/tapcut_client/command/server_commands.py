"""Subcommands that other packages add by the entry point group "tapcut.commands" (`serve`, `doctor`).

Owns when they are loaded: only when they are called, because the server's packages take seconds to import. An
entry point is a function that takes the arguments after the subcommand's name and answers the exit code.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

import typer

# Told also where the server is not installed, so that who looks for them finds out.
KNOWN = {
    "serve": "Serve on this machine until Ctrl-C.",
    "doctor": "Say whether this machine is fit to serve, and what mends it.",
}


def add_server_commands(app: typer.Typer) -> None:
    """Add those that are installed, and words for those that are not."""
    installed = {point.name: point for point in entry_points(group="tapcut.commands")}
    for name in sorted({*KNOWN, *installed}):
        point = installed.get(name)
        app.command(
            name,
            help=KNOWN.get(name, "From another package.") + ("" if point else " (Needs the server package.)"),
            # Arguments and --help are the entry point's own.
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
            add_help_option=False,
        )(_runner(name, point))


def _runner(name: str, point: EntryPoint | None) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        if point is None:
            typer.echo(
                f"tapcut: `{name}` is part of the server, which is not installed here: run `make serve` in a "
                "checkout of tapcut, or install it there with `pip install .`",
                err=True,
            )
            raise typer.Exit(2)
        raise typer.Exit(point.load()(context.args))

    return run
