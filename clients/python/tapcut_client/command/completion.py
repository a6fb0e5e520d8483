"""`tapcut completion SHELL`: the script that a shell needs, on standard output."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer import completion as typers

HOW = {
    "bash": 'in ~/.bashrc: eval "$(tapcut completion bash)"',
    "zsh": 'in ~/.zshrc, after compinit: eval "$(tapcut completion zsh)"',
    "fish": "in ~/.config/fish/config.fish: tapcut completion fish | source",
}


class Shell(StrEnum):
    """Shells that have completion."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="Your shell.")]) -> None:
    """Print what makes your shell complete commands, options and their values."""
    script = typers.get_completion_script(  # type: ignore[attr-defined]  # typer's own, not in its __all__
        prog_name="tapcut", complete_var="_TAPCUT_COMPLETE", shell=shell.value
    )
    typer.echo(f"# {HOW[shell.value]}\n{script}")
