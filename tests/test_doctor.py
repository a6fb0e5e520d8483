"""The doctor says what is wrong with a machine and how to mend it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import doctor
from doctor import Grade
from settings import Settings
from storage.redis_server import start_redis
from tests.engine.file_server import FileServer, serving


def settings(tmp_path: Path, **values: object) -> Settings:
    return Settings(_env_file=None, work_dir=tmp_path / "jobs", **values)  # type: ignore[arg-type]


def test_a_fit_machine_is_said_to_be_fit(tmp_path: Path) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if name != "REDIS_URL"},
        "WORK_DIR": str(tmp_path / "jobs"),
        "CACHE_DIR": str(tmp_path / "cache"),
        "PORT": "8899",
    }
    found = subprocess.run(
        [sys.executable, "-m", "doctor", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    findings = [json.loads(line) for line in found.stdout.splitlines()]
    assert found.returncode == 0, found.stdout + found.stderr
    assert len(findings) == 11
    by_grade = {grade: [one["what"] for one in findings if one["grade"] == grade] for grade in Grade}
    assert not by_grade[Grade.BAD]
    assert any("mobile_sam bundled, lama bundled" in what for what in by_grade[Grade.WARNING])
    assert not (tmp_path / "jobs").exists() and not list(tmp_path.glob(".tapcut*"))


def test_a_misspelt_setting_is_named(tmp_path: Path) -> None:
    environment = {**os.environ, "MAX_PIXLES": "5"}
    found = subprocess.run(
        [sys.executable, "-m", "doctor"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert found.returncode == 1 and "MAX_PIXLES" in found.stdout and "MAX_PIXELS" in found.stdout


@pytest.mark.parametrize("url", ["localhost:6379", "redis://:hidden/word@localhost:6379/0"])
def test_a_redis_url_that_is_none_is_bad_and_the_right_form_is_shown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    *_, found = doctor.examine()
    assert found.grade is Grade.BAD and "REDIS_URL" in found.what and "redis://host:port/0" in found.what
    assert "hidden" not in found.what


def test_a_port_of_something_else_is_bad(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        found = doctor.port(settings(tmp_path, port=other.getsockname()[1]))
    assert found.grade is Grade.BAD and "PORT" in found.mend


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "::1", 70 * "a"])
def test_a_host_that_is_not_this_machine_is_bad(tmp_path: Path, host: str) -> None:
    found = doctor.port(settings(tmp_path, host=host, port=8899))
    assert found.grade is Grade.BAD and host in found.what and "HOST=127.0.0.1" in found.mend


@pytest.mark.parametrize(("status", "grade"), [(200, Grade.OK), (503, Grade.WARNING)])
def test_a_service_that_already_answers_is_no_fault(
    tmp_path: Path, status: int, grade: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody's business on this machine
    with serving(FileServer(b'{"status": "ok"}', status=status)) as server:
        found = doctor.port(settings(tmp_path, port=int(server.url.split(":")[2].split("/")[0])))
    assert found.grade is grade and "a service answers" in found.what


def test_an_open_service_on_all_interfaces_is_warned_of(tmp_path: Path) -> None:
    assert doctor.access(settings(tmp_path)).grade is Grade.OK
    found = doctor.access(settings(tmp_path, host="0.0.0.0"))
    assert found.grade is Grade.WARNING and "API_KEYS" in found.mend
    assert doctor.access(settings(tmp_path, host="0.0.0.0", api_keys="a" * 24)).grade is Grade.OK


def test_a_folder_without_room_is_bad(tmp_path: Path) -> None:
    assert doctor.work_folder(settings(tmp_path)).grade is Grade.OK
    found = doctor.work_folder(settings(tmp_path, min_free_mb=1e12))
    assert found.grade is Grade.BAD and "MB free" in found.what


def test_a_folder_that_cannot_be_made_is_bad(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    found = doctor.work_folder(Settings(_env_file=None, work_dir=tmp_path / "file" / "jobs"))  # type: ignore[call-arg]
    assert found.grade is Grade.BAD and "Not a directory" in found.what and "WORK_DIR" in found.mend


def test_a_machine_with_little_memory_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_MEMORY_GB", 0.1)
    assert doctor.memory(settings(tmp_path)).grade is Grade.OK
    monkeypatch.setattr(doctor, "LEAST_MEMORY_GB", 1e6)
    assert "CHECKPOINT_DOWNLOAD=false" in doctor.memory(settings(tmp_path)).mend


def test_every_fault_comes_with_what_mends_it_also_by_the_command(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HOST": "192.0.2.1",
        "MIN_FREE_MB": "1e12",
        "WORK_DIR": str(tmp_path / "jobs"),
    }
    environment |= {
        "DEVICE": "cpu",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "CACHE_DIR": str(tmp_path / "cache"),
    }
    environment["LAMA_CHECKPOINT"] = str(tmp_path / "none.pt")
    command = [str(Path(sys.executable).with_name("tapcut")), "doctor", "--json"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    bad = [one for one in map(json.loads, found.stdout.splitlines()) if one["grade"] != Grade.OK]
    assert found.returncode == 1, found.stderr
    text = " ".join(one["what"] for one in bad if one["grade"] == Grade.BAD)
    for part in ("HOST 192.0.2.1", "MB free", "Redis does not answer", "none.pt"):
        assert part in text
    assert all(one["mend"] for one in bad)


def test_redis_that_forgets_or_is_not_there_is_found(tmp_path: Path) -> None:
    assert doctor.redis_server(settings(tmp_path)).grade is Grade.OK
    assert doctor.redis_server(settings(tmp_path, redis_url="redis://127.0.0.1:1/0")).grade is Grade.BAD
    with start_redis(tmp_path / "redis") as server:
        assert doctor.redis_server(settings(tmp_path, redis_url=server.url)).grade is Grade.OK
        wrong = server.url.replace("redis://:", "redis://:x")
        assert "password" in doctor.redis_server(settings(tmp_path, redis_url=wrong)).what
        import redis

        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
            assert "evict" in doctor.redis_server(settings(tmp_path, redis_url=server.url)).what
            client.config_set("appendonly", "no")
        assert "memory only" in doctor.redis_server(settings(tmp_path, redis_url=server.url)).what


def test_a_checkpoint_that_is_none_is_bad(tmp_path: Path) -> None:
    broken = tmp_path / "sam.pt"
    broken.write_bytes(b"no checkpoint")
    found = doctor.checkpoints(settings(tmp_path, mobile_sam_checkpoint=broken, cache_dir=tmp_path / "cache"))
    assert found.grade is Grade.BAD and "sam.pt" in found.what


def test_a_gpu_that_is_asked_for_and_missing_is_bad(tmp_path: Path) -> None:
    import torch

    found = doctor.device(settings(tmp_path, device="cuda"))
    assert (found.grade is Grade.BAD) == (not torch.cuda.is_available())
