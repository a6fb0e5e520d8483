"""Where released checkpoints and converted networks are kept.

Owns one rule, apart from the checkpoints so that the settings can use it without loading torch.
"""

from __future__ import annotations

import os
from pathlib import Path


def default_cache_folder() -> Path:
    """`tapcut` in the user's cache folder: $XDG_CACHE_HOME, else ~/.cache, else, without a home, ./.cache."""
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "tapcut"
    try:
        return Path.home() / ".cache" / "tapcut"
    except RuntimeError:  # a user number of a container's that no name belongs to
        return Path(".cache", "tapcut").absolute()
