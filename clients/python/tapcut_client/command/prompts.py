"""Which objects of which pictures: from the command line, or from a table of points.

Owns the two forms. Command line: `--at 250,300` (again for each object; `--at 250,300:260,310` is two taps on
one), `--not 10,10` and `--box x0,y0,x1,y1`. Table: CSV with the columns picture, x, y and optionally object
and label, or JSON `{"a.jpg": [[x, y], ...]}` or `{"a.jpg": [{"points": ..., "labels": ..., "box": ...}]}`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tapcut_client.models import Box, ObjectPrompt, Point


class PromptError(Exception):
    """Points that cannot be read; the message says where and what is expected."""


def prompts_from_options(
    at: Sequence[str], negative: Sequence[str], boxes: Sequence[str]
) -> tuple[ObjectPrompt, ...]:
    """One object an `--at`, one a `--box`; `--not` taps count for each of them.

    Raises:
        PromptError: not numbers, or a negative tap alone.
    """
    away = [_numbers(text, 2, "--not") for text in negative]
    objects = []
    for text in at:
        taps = [_numbers(part, 2, "--at") for part in text.split(":")]
        objects.append(_prompt([(x, y) for x, y in taps], [(x, y) for x, y in away], None))
    for text in boxes:
        x0, y0, x1, y1 = _numbers(text, 4, "--box")
        objects.append(_prompt([], [(x, y) for x, y in away], (x0, y0, x1, y1)))
    if away and not objects:
        raise PromptError("--not says what is not meant: say with --at or --box what is")
    return tuple(objects)


def _prompt(taps: list[Point], away: list[Point], box: Box | None) -> ObjectPrompt:
    labels = [1] * len(taps) + [0] * len(away)
    return ObjectPrompt([*taps, *away], labels if away else None, box)


def _numbers(text: str, count: int, option: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        example = "250,300" if count == 2 else "100,80,400,360"
        raise PromptError(
            f"{option} {text}: give {count} numbers with commas between, as in {option} {example}"
        )
    return found


def read_table(path: Path) -> dict[str, tuple[ObjectPrompt, ...]]:
    """Picture name -> its objects, from a CSV or JSON file.

    Raises:
        PromptError: it cannot be read, or a row is not of the form above; the row is named.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"{path}: cannot be read ({error})") from error
    return _from_json(path, text) if path.suffix.lower() == ".json" else _from_csv(path, text)


def _from_csv(path: Path, text: str) -> dict[str, tuple[ObjectPrompt, ...]]:
    rows = csv.DictReader(text.splitlines())
    missing = {"picture", "x", "y"} - set(rows.fieldnames or ())
    if missing:
        raise PromptError(
            f"{path}: no column {', '.join(sorted(missing))}; needed: picture,x,y (object,label)"
        )
    taps: dict[str, dict[str, list[tuple[Point, int]]]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            point = (float(row["x"]), float(row["y"]))
            label = int(row.get("label") or 1)
            if label not in (0, 1):
                raise ValueError
        except (TypeError, ValueError):
            raise PromptError(f"{path}, line {number}: x and y are numbers, label is 1 or 0") from None
        objects = taps.setdefault(row["picture"], {})
        # Without an object column each row is an object of its own.
        objects.setdefault(row.get("object") or f"line {number}", []).append((point, label))
    return {
        picture: tuple(
            ObjectPrompt([point for point, _ in one], [label for _, label in one]) for one in objects.values()
        )
        for picture, objects in taps.items()
    }


def _from_json(path: Path, text: str) -> dict[str, tuple[ObjectPrompt, ...]]:
    try:
        table = json.loads(text)
    except ValueError as error:
        raise PromptError(f"{path}: not JSON ({error})") from error
    if not isinstance(table, Mapping):
        raise PromptError(f'{path}: expected an object, {{"a.jpg": [[250, 300]]}}')
    return {str(name): tuple(_objects(path, name, value)) for name, value in table.items()}


def _objects(path: Path, name: str, value: Any) -> Iterable[ObjectPrompt]:
    if not isinstance(value, list) or not value:
        raise PromptError(f"{path}, {name}: expected a list of [x, y] or of objects")
    for one in value:
        try:
            if isinstance(one, Mapping):
                unknown = set(one) - {"points", "labels", "box"}
                if unknown:
                    raise PromptError(f"{path}, {name}: unknown field {', '.join(sorted(unknown))}")
                box = one.get("box")
                if box is not None:
                    x0, y0, x1, y1 = map(float, box)
                    box = (x0, y0, x1, y1)
                points = [(float(x), float(y)) for x, y in one.get("points", ())]
                yield ObjectPrompt(points, one.get("labels"), box)
            else:
                x, y = one
                yield ObjectPrompt([(float(x), float(y))])
        except (TypeError, ValueError):
            raise PromptError(f"{path}, {name}: {one!r} is neither [x, y] nor an object") from None
