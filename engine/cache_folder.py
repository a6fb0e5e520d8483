"""Where released checkpoints and converted networks are kept.

Owns one rule, apart from the checkpoints so that the settings can use it without loading torch.
"""

from __future__ import annotations

import os
from pathlib import Path


def default_cache_folder() -> Path:
    """`tapcut` in the user's cache folder: $XDG_CACHE_HOME, else ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tapcut"
