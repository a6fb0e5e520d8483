"""Each persona once against the running service, in a process of its own: Locust changes a whole process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from load_tests.day import Persona
from load_tests.figure import STAGES
from load_tests.records import CANCELLED, CHECK, FELT, read_rows, read_samples
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


@contextmanager
def sampled(service: Service, path: Path) -> Iterator[None]:
    """Samples of the service while the context lasts, in the file `path` afterwards."""
    command = [sys.executable, "-m", "load_tests.sampler", "--url", service.url, "--out", str(path)]
    sampler = subprocess.Popen(
        [*command, "--service-pid", str(service.process.pid)],
        cwd=ROOT,
        env={**os.environ, **service.cluster_environment},
        stdin=subprocess.PIPE,
    )
    assert sampler.stdin is not None
    try:
        yield
    finally:
        sampler.stdin.close()
        sampler.wait(60)
    assert sampler.returncode == 0


@pytest.mark.timeout(180)
def test_every_persona_gets_what_it_came_for_and_leaves_nothing_and_all_is_sampled(
    service: Service, tmp_path: Path
) -> None:
    with sampled(service, tmp_path / "samples.json"):
        done = visit_once(service.url, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = read_rows(tmp_path)
    felt = {(row.persona, row.name) for row in rows if row.kind == FELT}
    for persona in set(Persona) - {Persona.CANCELLER}:
        assert (persona.value, "tap to ready") in felt
    assert (Persona.RETAP.value, "tap to preview") in felt
    checked = {(row.persona, row.name) for row in rows if row.kind == CHECK}
    assert (Persona.CANCELLER.value, CANCELLED) in checked
    uploaded = [row for row in rows if row.name == "/upload" and not row.refused]
    deleted = {row.job for row in rows if row.name == "/cleanup"}
    assert len(uploaded) == len(deleted) == len(Persona) + 1  # the import brings two
    assert not [job for job in deleted if (service.work_dir / job).exists()]

    taken = read_samples(tmp_path / "samples.json")
    assert set(STAGES) <= set(taken.replicas)
    first, last = taken.samples[0], taken.samples[-1]
    assert all(stage.running >= 1 for stage in first.stages.values())
    assert last.batches["inpaint"][0] > first.batches.get("inpaint", (0, 0))[0]
    assert max(one.stages["LamaInpainter"].cpu or 0 for one in taken.samples) > 0.05
    assert max(one.running for one in taken.samples) >= 1


def test_a_service_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    done = visit_once("http://127.0.0.1:9", tmp_path)
    assert done.returncode == 1, done.stderr
    rows = read_rows(tmp_path)
    assert {row.persona for row in rows} == set(Persona) and all(row.error for row in rows)
