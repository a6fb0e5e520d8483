"""Words for the person at the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapcut_client.models import Upload


def say(text: str) -> None:
    """One line to standard error."""
    print(text, file=sys.stderr, flush=True)


def made_smaller(upload: Upload | None) -> str:
    """What to add to a result's name where the picture is smaller than the one that was given."""
    if upload is None or not upload.scaled_down:
        return ""
    # What comes back is of that size: nobody should find out by opening it.
    before, after = f"{upload.uploaded_width}x{upload.uploaded_height}", f"{upload.width}x{upload.height}"
    return f"  ({after}, made smaller by the service from {before})"
