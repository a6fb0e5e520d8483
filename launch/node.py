"""`python -m launch.node`: prints what `ray start` on a node of a cluster needs in its environment.

    eval "$(python -m launch.node serve_config.yaml)" && ray start ...

Owns the printing; the variables are `ray_environment.py`'s. Secrets (RAY_AUTH_TOKEN_PATH, REDIS_URL,
WEBHOOK_SECRET) are the operator's to set, and are not printed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from launch.configuration import ROOT, settings_of
from launch.errors import LaunchError
from launch.ray_environment import node_environment
from settings import SettingsError


def main(arguments: list[str] | None = None) -> int:
    """Print one `export` a line. Answers the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m launch.node", description="The environment of `ray start`."
    )
    parser.add_argument("config", type=Path, nargs="?", default=ROOT / "serve_config.yaml")
    options = parser.parse_args(arguments)
    try:
        wanted = node_environment(settings_of(options.config), os.environ)
    except (LaunchError, SettingsError) as error:
        print(f"tapcut: {error}", file=sys.stderr)
        return 1
    for name, value in wanted.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
