"""The TypeScript client: generated from the document, compiled, and run by Node against the service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.service.pictures import DISC, pixels_of, png_bytes, scene

SOURCE = Path(__file__).resolve().parents[2] / "clients" / "typescript"
OLDEST_NODE = 18
NO_NETWORK = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "ECONNRESET")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def installed() -> Path:
    """`node_modules` as the lock file says; kept between runs."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js or npm is not installed here: the TypeScript client is not checked")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"Node.js {version} is too old: the TypeScript client is not checked")
    lock, mark = SOURCE / "package-lock.json", SOURCE / "node_modules" / ".installed"
    if not mark.exists() or mark.read_bytes() != lock.read_bytes():
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"], cwd=SOURCE, capture_output=True, text=True
        )
        if done.returncode and any(word in done.stderr for word in NO_NETWORK):
            pytest.skip("the packages of the TypeScript client cannot be fetched here: it is not checked")
        assert done.returncode == 0, done.stderr
        mark.write_bytes(lock.read_bytes())
    return SOURCE / "node_modules"


@pytest.fixture
def node(installed: Path, tmp_path: Path) -> Run:
    """Runs Node in a copy of the client."""
    folder = tmp_path / "client"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules", "build", "schema.ts"))
    (folder / "node_modules").symlink_to(installed)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["node", *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


TSC = "node_modules/typescript/bin/tsc"


def test_the_generated_client_compiles_and_does_a_whole_job(
    node: Run, service_url: str, tmp_path: Path
) -> None:
    generated = node("generate.mjs", f"{service_url}/openapi.json")
    assert generated.returncode == 0, generated.stderr
    compiled = node(TSC)
    assert compiled.returncode == 0, compiled.stdout
    photo, clean = tmp_path / "photo.png", tmp_path / "clean.png"
    photo.write_bytes(png_bytes(scene()))
    done = node("build/example.js", service_url, photo, *DISC, clean)
    assert done.returncode == 0, done.stderr
    assert "uploaded: 480x320" in done.stdout and "100% ready" in done.stdout and "object 0: " in done.stdout
    before, after = pixels_of(photo.read_bytes()).astype(int), pixels_of(clean.read_bytes()).astype(int)
    assert abs(after[DISC[1], DISC[0]] - before[DISC[1], DISC[0]]).max() > 60
    refused = node("build/example.js", service_url, photo, 9999, 1, clean)
    assert refused.returncode == 1 and "refused (422)" in refused.stderr and "outside" in refused.stderr


def test_a_document_that_lost_fields_does_not_compile(node: Run, service_url: str, tmp_path: Path) -> None:
    document = httpx.get(f"{service_url}/openapi.json").json()
    schemas = document["components"]["schemas"]
    del schemas["UploadAnswer"]["properties"]["width"]
    schemas["SegmentBody"]["properties"]["wanted"] = schemas["SegmentBody"]["properties"].pop("outputs")
    changed = tmp_path / "openapi.json"
    changed.write_text(json.dumps(document))
    assert node("generate.mjs", changed).returncode == 0
    compiled = node(TSC, "--noEmit")
    assert compiled.returncode != 0 and "'width'" in compiled.stdout and "'outputs'" in compiled.stdout
