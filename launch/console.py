"""What the launcher tells whoever started it."""

from __future__ import annotations


def say(line: str) -> None:
    """One line of progress."""
    print(f"tapcut: {line}", flush=True)
