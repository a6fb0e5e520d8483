"""Small findings kept in the cache folder for the next start, as JSON files.

Owns reading what may be missing or damaged, and writing so that nobody reads a half.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Facts = TypeVar("Facts", bound=DataclassInstance)

log = logging.getLogger(__name__)


def known(kind: type[Facts], path: Path, find: Callable[[], Facts]) -> Facts:
    """What is kept at `path` as a `kind`, a dataclass of plain values; else what `find` finds, kept there."""
    try:
        return kind(**(read_facts(path) or {}))
    except TypeError:  # nothing is kept, or something else
        found = find()
        keep_facts(path, asdict(found))
        return found


def read_facts(path: Path) -> dict[str, Any] | None:
    """What was kept at `path`; None if nothing was or it is damaged."""
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def keep_facts(path: Path, facts: Mapping[str, object]) -> None:
    """Keep `facts` at `path`; a folder that cannot be written costs the keeping only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(facts))
        fresh.replace(path)
    except OSError as error:
        log.warning("%s cannot be kept: %s", path, error)
