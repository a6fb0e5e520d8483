"""Which objects of which pictures: from the command line, or from a table of points.

Owns the two forms. Command line: `--at 250,300` (again for each object; `--at 250,300:260,310` is two taps on
one), `--not 10,10` and `--box x0,y0,x1,y1`. Table: CSV with the columns picture, x, y and optionally object
and label, or JSON `{"a.jpg": [[x, y], ...]}` or
`{"a.jpg": [{"points": ..., "labels": ..., "box": ..., "mask": "file.png"}]}`.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapcut_client.models import Box, ObjectPrompt, Point


class PromptError(Exception):
    """Points that cannot be read; the message says where and what is expected."""


@dataclass(frozen=True, slots=True)
class Table:
    """Picture name, as the table has it, -> its objects. `folder`: the table's own."""

    folder: Path
    objects: Mapping[str, tuple[ObjectPrompt, ...]]

    def name_of(self, picture: Path) -> str | None:
        """The name that means this picture: its path, also from the table's folder, or its name alone."""
        names = [str(picture), picture.name]
        if picture.resolve().is_relative_to(self.folder.resolve()):
            names.insert(1, picture.resolve().relative_to(self.folder.resolve()).as_posix())
        return next((name for name in names if name in self.objects), None)

    def pictures(self) -> list[Path]:
        """The pictures that it names."""
        return [self.folder / name for name in self.objects]


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
        found = [_finite(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        example = "250,300" if count == 2 else "100,80,400,360"
        raise PromptError(
            f"{option} {text}: give {count} numbers with commas between, as in {option} {example}"
        )
    return found


def _finite(value: Any) -> float:
    # A nan or an infinity is a float, but none that JSON could carry to the service.
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _label(value: Any) -> int:
    if value not in (0, 1):
        raise ValueError
    return int(value)


def read_table(path: Path) -> Table:
    """The objects of many pictures, from a CSV or JSON file.

    Raises:
        PromptError: it cannot be read, or a row is not of the form above; the row is named.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PromptError(f"{path}: is not text in UTF-8") from error
    except OSError as error:
        raise PromptError(f"{path}: {error.strerror or error}") from error
    found = _from_json(path, text) if path.suffix.lower() == ".json" else _from_csv(path, text)
    if not found:
        raise PromptError(f"{path}: names no picture")
    return Table(path.parent, found)


def _from_csv(path: Path, text: str) -> dict[str, tuple[ObjectPrompt, ...]]:
    first = text.split("\n", 1)[0]
    # Spreadsheets of half of the world part columns by semicolons.
    rows = csv.DictReader(
        text.splitlines(),
        delimiter=";" if first.count(";") > first.count(",") else ",",
        skipinitialspace=True,
    )
    missing = {"picture", "x", "y"} - set(rows.fieldnames or ())
    if missing:
        raise PromptError(
            f"{path}: no column {', '.join(sorted(missing))}; needed: picture,x,y (object,label)"
        )
    taps: dict[str, dict[str, list[tuple[Point, int]]]] = {}
    for row in rows:
        number = rows.line_num
        try:
            if not row["picture"]:
                raise ValueError
            point = (_finite(row["x"]), _finite(row["y"]))
            label = _label(int(row.get("label") or 1))
        except (TypeError, ValueError):
            raise PromptError(
                f"{path}, line {number}: expected a picture, numbers x and y, and label 1 or 0, not "
                + ",".join(str(value) for value in row.values() if value is not None)
            ) from None
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
                unknown = set(one) - {"points", "labels", "box", "mask"}
                if unknown:
                    raise PromptError(f"{path}, {name}: unknown field {', '.join(sorted(unknown))}")
                box = one.get("box")
                if box is not None:
                    x0, y0, x1, y1 = map(_finite, box)
                    box = (x0, y0, x1, y1)
                points = [(_finite(x), _finite(y)) for x, y in one.get("points", ())]
                labels = one.get("labels")
                if labels is not None:
                    labels = [_label(label) for label in labels]
                mask = (path.parent / one["mask"]).read_bytes() if "mask" in one else None
                if not points and box is None and mask is None:
                    raise ValueError
                yield ObjectPrompt(points, labels, box, mask)
            else:
                x, y = one
                yield ObjectPrompt([(_finite(x), _finite(y))])
        except OSError as error:
            raise PromptError(f"{path}, {name}: {error.filename}: {error.strerror}") from error
        except (TypeError, ValueError, OverflowError):
            raise PromptError(
                f"{path}, {name}: {one!r} is neither [x, y] nor an object (finite numbers, labels 1 or 0)"
            ) from None
