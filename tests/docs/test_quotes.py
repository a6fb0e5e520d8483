"""Sentences that the troubleshooting page quotes are sentences of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
CODE = ("engine", "deployments", "storage", "launch", "clients/python")


def quotes() -> list[str]:
    return [line[2:].strip() for line in PAGE.read_text().splitlines() if line.startswith("> ")]


def sentences(path: Path) -> Iterator[str]:
    """Each string of a Python file, `...` where a value goes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield with_values_left_out(
                "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values)
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield with_values_left_out(node.value)


def with_values_left_out(text: str) -> str:
    return re.sub(r"%s|%d|(?:\.\.\.)+", "...", text)


@pytest.fixture(scope="module")
def spoken() -> list[str]:
    files = [ROOT / "doctor.py", ROOT / "graph.py", ROOT / "settings.py"]
    for folder in CODE:
        files += (ROOT / folder).rglob("*.py")
    return [sentence for path in files for sentence in sentences(path)]


def test_page_quotes_something() -> None:
    assert len(quotes()) > 40


def test_every_quoted_sentence_is_in_the_code(spoken: list[str]) -> None:
    missing = [quote for quote in quotes() if not any(quote in sentence for sentence in spoken)]
    assert not missing, "not in the code any more:\n" + "\n".join(missing)


def test_sentence_that_is_not_in_the_code_is_noticed(spoken: list[str]) -> None:
    assert not any("Job was not found" in sentence for sentence in spoken)
