"""The stage that the page adds, put into a copy of the project and run on the real stages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from storage.shared_folder import SharedFolder
from tests.docs.pages import ROOT, blocks_of
from tests.service.pictures import artifact, finished, pixels_of
from trials.service import Service

PAGE = ROOT / "docs" / "extending.md"
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "jobs", "__pycache__", ".*_cache", "node_modules", "*.egg-info"
)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the page's files and diffs."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    copy = tmp_path_factory.mktemp("extended") / "tapcut"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    for block in blocks_of(PAGE):
        if block.file:
            assert not (copy / block.file).exists()
            (copy / block.file).write_text(block.code)
        elif block.language == "diff":
            applied = subprocess.run(
                ["git", "apply", "--recount", "-"], cwd=copy, input=block.code, text=True, capture_output=True
            )
            assert applied.returncode == 0, f"{PAGE.name}:{block.line}: {applied.stderr}"
    return copy


def run(copy: Path, *command: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", **environment},
        text=True,
        capture_output=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_extended_project_passes_its_checks(extended: Path) -> None:
    changed = [block.file for block in blocks_of(PAGE) if block.file] + [
        "graph.py",
        "deployments/job_walk.py",
    ]
    run(extended, "-m", "ruff", "check", "--no-cache", *changed)
    run(extended, "-m", "ruff", "format", "--no-cache", "--check", *changed)
    run(extended, "-m", "docs.draw_dag")
    tests = run(
        extended,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/test_graph.py",
        "tests/engine/test_sharpen.py",
    )
    assert " passed" in tests and "failed" not in tests


def test_new_stage_sharpens_what_was_filled_and_nothing_else(
    extended: Path, service: Service, api: httpx.Client
) -> None:
    job = finished(api)
    job_id = job["job_id"]
    said = run(
        extended,
        str(ROOT / "tests" / "docs" / "sharpened_walk.py"),
        service.redis_url,
        job_id,
        f"{job_id}/a99",
        **service.cluster_environment,
    )
    walked = json.loads(said.splitlines()[-1])
    files = SharedFolder(service.work_dir)
    assert "sharpen" in walked["stages"]
    for name in ("mask_0.png", "cropped_0.png"):
        assert files.get(walked["files"][name]) == artifact(api, job_id, name)

    before = pixels_of(artifact(api, job_id, "original.png"))
    plain = pixels_of(artifact(api, job_id, "full_inpainted.png"))
    sharp = pixels_of(files.get(walked["files"]["full_inpainted.png"]))
    untouched = (plain == before).all(axis=2)
    mask = pixels_of(artifact(api, job_id, "mask_0.png")) > 127
    inside = cv2.erode(mask.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    ratio = detail(sharp, inside) / detail(plain, inside)
    print(f"detail inside the removed object, sharpened to plain: {ratio:.2f}")
    assert ratio > 1.2
    ring = cv2.dilate((~untouched).astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    assert np.array_equal(sharp[~ring], before[~ring])


def detail(pixels: np.ndarray, where: np.ndarray) -> float:
    """Energy of the Laplacian."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return float((cv2.Laplacian(grey, cv2.CV_64F)[where] ** 2).mean())
