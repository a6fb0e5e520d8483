"""The code in a Markdown page, found and run.

A fence of bash, python or js is code that is run, in the order of the page and one process a language; a
fence of text or json right after it is what it prints, `...` standing for anything and space for nothing. A
comment before a fence says what else it is: `<!-- not run: why -->` or `<!-- file: path -->`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRINTED = ("text", "json")
MARK = "---- block %d ----"
LONGEST_S = 240

_FENCE = re.compile(
    r"^(?:<!-- (?P<kind>not run|file): (?P<note>[^\n]+?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fence. `line` counts from 1; `printed`: what the page says that it prints."""

    language: str
    code: str
    line: int
    not_run: str = ""
    file: str = ""
    printed: str = ""


@dataclass(frozen=True)
class Language:
    """How the blocks of a language become one program."""

    suffix: str
    begin: str
    mark: str

    def program(self, codes: Sequence[str]) -> str:
        parts = [self.begin]
        for index, code in enumerate(codes):
            parts += [self.mark.format(MARK % index), code]
        return "\n".join(parts)


LANGUAGES = {
    # What a block has started in the background ends with the page.
    "bash": Language(
        "sh", "set -euo pipefail; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", "printf '\\n%s\\n' '{}'"
    ),
    "python": Language("py", "", "print('{}', flush=True)"),
    "js": Language("mjs", "", "console.log('{}');"),
}


def blocks_of(page: Path) -> list[Block]:
    """All fences of a page but the printed ones, which belong to the block before them."""
    text = page.read_text()
    found: list[Block] = []
    end_of_last = -1
    for match in _FENCE.finditer(text):
        kind, note = match["kind"] or "", match["note"] or ""
        if match["language"] in PRINTED and found and not text[end_of_last : match.start()].strip():
            found[-1] = Block(**{**vars(found[-1]), "printed": match["code"]})
        else:
            line = text.count("\n", 0, match.start("code"))
            found.append(
                Block(
                    match["language"],
                    match["code"],
                    line,
                    not_run=note if kind == "not run" else "",
                    file=note if kind == "file" else "",
                )
            )
        end_of_last = match.end()
    return found


def runnable(page: Path, language: str) -> list[Block]:
    """The blocks of a language that are run."""
    return [
        block
        for block in blocks_of(page)
        if block.language == language and not block.not_run and not block.file
    ]


def program_for(language: str) -> str | None:
    """What runs a language on this machine, or nothing."""
    return sys.executable if language == "python" else shutil.which({"js": "node"}.get(language, language))


def run_page(
    page: Path, language: str, folder: Path, replaced: Mapping[str, str], environment: Mapping[str, str]
) -> None:
    """Run the page's blocks of a language in `folder` and compare what they print.

    Raises:
        AssertionError: a block fails, or prints something else than the page says.
    """
    blocks, speech = runnable(page, language), LANGUAGES[language]
    assert blocks, f"{page.name} has no {language}"
    program = speech.program([block.code for block in blocks])
    for old, new in replaced.items():
        program = program.replace(old, new)
    path = folder / f"{page.stem}.{speech.suffix}"
    path.write_text(program)
    command = program_for(language)
    assert command is not None
    try:
        done = subprocess.run(
            [command, str(path)],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"").decode() + (late.stderr or b"").decode()
        raise AssertionError(f"{page.name}: not through after {LONGEST_S} s\n{said}") from late
    outputs = re.split(r"^---- block \d+ ----\n", done.stdout, flags=re.MULTILINE)[1:]
    if done.returncode:
        failed = blocks[max(len(outputs) - 1, 0)]
        raise AssertionError(
            f"{page.name}:{failed.line}: exit code {done.returncode}\n{done.stderr}{done.stdout}"
        )
    for block, output in zip(blocks, outputs, strict=True):
        if block.printed:
            assert prints(block.printed, output), (
                f"{page.name}:{block.line}: the page says\n{block.printed}\nbut it prints\n{output}"
            )


def prints(said: str, output: str) -> bool:
    """Whether `output` is what the page says, `...` for anything, space and line ends apart."""
    pattern = ".*?".join(re.escape("".join(part.split())) for part in said.split("..."))
    return re.fullmatch(pattern, "".join(output.split()), re.DOTALL) is not None
