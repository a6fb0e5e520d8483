"""The Dockerfile: what it copies is there and is all that the service needs, and what it leaves out."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from launch.configuration import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
Instruction = tuple[str, str]


def stages() -> dict[str, list[Instruction]]:
    """Instructions by stage, in their order."""
    text = re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE.read_text()).replace("\\\n", " ")
    found: dict[str, list[Instruction]] = {}
    name = ""
    for line in filter(str.strip, text.splitlines()):
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            name = rest.split(" AS ")[1]
            found[name] = []
        found[name].append((word, " ".join(rest.split())))
    return found


def ancestry(stage: str) -> list[Instruction]:
    """All instructions that made a stage, those of the stages under it first."""
    instructions = stages()[stage]
    parent = instructions[0][1].split(" AS ")[0]
    return [*(ancestry(parent) if parent in stages() else []), *instructions]


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out; the last line that fits decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = [path, *map(str, Path(path).parents)]
        if any(fnmatch.fnmatch(part, pattern) or fnmatch.fnmatch(Path(part).name, pattern) for part in parts):
            out = not line.startswith("!")
    return out


def copied() -> list[str]:
    sources = []
    for stage in stages().values():
        for word, rest in stage:
            if word == "COPY" and not rest.startswith("--from"):
                sources += rest.split()[:-1]
    return sources


def test_what_is_copied_is_there_and_not_ignored() -> None:
    for source in copied():
        assert (ROOT / source).exists(), source
        assert not ignored(source), source


def test_nothing_else_reaches_the_build() -> None:
    for path in ("tests", ".git", ".venv", "docs", "deploy/secrets/redis_password", ".env", "jobs"):
        assert ignored(path), path
    assert ignored("engine/__pycache__/errors.cpython-311.pyc") and not ignored("engine/errors.py")


def test_all_of_the_services_own_packages_are_in_the_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    sources = set(copied())
    for package in project["packages"]:
        assert package.split(".")[0] in sources, package
    for module in project["py-modules"]:
        assert f"{module}.py" in sources, module
    assert {path.name for path in ROOT.glob("serve_config*.yaml")} <= sources
    assert "clients/web" in sources


def test_packages_are_a_layer_that_our_own_code_does_not_touch() -> None:
    before = []
    for word, rest in stages()["packages"]:
        if word == "RUN" and "pip install" in rest and "-r requirements.txt" in rest:
            break
        before.append((word, rest))
    sources = " ".join(rest for word, rest in before if word == "COPY")
    assert sources.split() == [
        *("pyproject.toml", "constraints.txt", "./", "deploy/requirements.py", "deploy/requirements.py"),
    ]


def test_the_requirements_of_the_layer_are_the_projects() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "deploy" / "requirements.py", ROOT / "pyproject.toml"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert printed == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


def test_the_service_does_not_run_as_root_and_says_how_it_is() -> None:
    for target in ("cpu", "cuda"):
        words = dict(ancestry(target))
        user = words["USER"].partition(":")[0]
        assert user.isdigit() and int(user) > 0
        assert "/health" in words["HEALTHCHECK"]
        assert words["ENTRYPOINT"].startswith('["tini"')
        installed = " ".join(rest for word, rest in ancestry(target) if word == "RUN")
        assert not re.search(r"\b(gcc|g\+\+|build-essential|make|git|python3-dev|python3-venv)\b", installed)
        assert f"DEVICE={target}" in words["ENV"]


def test_no_address_of_a_registry_is_written_down() -> None:
    texts = [DOCKERFILE.read_text(), *(path.read_text() for path in (ROOT / "deploy").rglob("*.yaml"))]
    assert not any(re.search(r"https?://[^\s\"']*(pypi|pytorch|docker|index)", text) for text in texts)
