"""Each persona once against the running service, in a process of its own: Locust changes a whole process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from load_tests.day import Persona
from load_tests.records import CANCELLED, CHECK, FELT, read_rows
from trials.service import ROOT, Service


def visit_once(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "load_tests.once", "--host", url, "--records", str(folder)),
            *("--small", "--pace", "0.1"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.timeout(180)
def test_every_persona_gets_what_it_came_for_and_leaves_nothing(service: Service, tmp_path: Path) -> None:
    done = visit_once(service.url, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = read_rows(tmp_path)
    felt = {(row.persona, row.name) for row in rows if row.kind == FELT}
    for persona in set(Persona) - {Persona.CANCELLER}:
        assert (persona.value, "tap to ready") in felt
    assert (Persona.RETAP.value, "tap to preview") in felt
    assert (Persona.CANCELLER.value, CANCELLED) in {
        (row.persona, row.name) for row in rows if row.kind == CHECK
    }
    uploaded = [row for row in rows if row.name == "/upload"]
    deleted = {row.job for row in rows if row.name == "/cleanup"}
    assert len(uploaded) == len(deleted) == len(Persona) + 1  # the import brings two
    assert not [job for job in deleted if (service.work_dir / job).exists()]


def test_a_service_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    done = visit_once("http://127.0.0.1:9", tmp_path)
    assert done.returncode == 1, done.stderr
    rows = read_rows(tmp_path)
    assert {row.persona for row in rows} == set(Persona) and all(row.error for row in rows)
