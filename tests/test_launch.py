from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from launch.__main__ import Running, _reload
from launch.configuration import hold_to_loopback
from launch.errors import LaunchError
from launch.machine import hold_port
from launch.ray_service import ray_running, wait_until_ready
from launch.stop_signal import StopSignal
from settings import Settings
from tests.engine.file_server import FileServer, serving

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "localhost,127.0.0.1,[::1]"),
        ({"host": "0.0.0.0"}, ""),
        ({"api_keys": "k" * 24}, ""),
        ({"allowed_hosts": "tapcut.example"}, "tapcut.example"),
    ],
)
def test_an_open_service_on_loopback_answers_to_loopbacks_names_only(
    values: dict[str, str], expected: str
) -> None:
    assert hold_to_loopback(Settings(_env_file=None, **values)).allowed_hosts == expected  # type: ignore[arg-type]


def launched(tmp_path: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "WORK_DIR": str(tmp_path / "jobs"),
        "CHECKPOINT_DOWNLOAD": "false",
        **settings,
    }
    return subprocess.run(
        [sys.executable, "-m", "launch"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_taken_port_fails_the_start_with_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = launched(tmp_path, PORT=str(port))
    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines() == [
        f"tapcut: cannot start: port {port} on 127.0.0.1 is not free: end what listens there, or set PORT"
    ]


def test_port_that_another_launcher_holds_fails_the_start(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Not listening yet, as while a service starts; Ray's proxy would share this port.
    with hold_port(Settings(port=port)):
        ended = launched(tmp_path, PORT=str(port))
        with socket.socket() as proxy:
            proxy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            proxy.bind(("127.0.0.1", port))
    assert ended.returncode == 1 and f"port {port} on 127.0.0.1 is not free" in ended.stderr


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "::1", 70 * "a"])
def test_a_host_that_is_not_this_machine_is_said_to_be_none(host: str) -> None:
    settings = Settings(_env_file=None, host=host, port=8899)  # type: ignore[call-arg]
    with (
        pytest.raises(LaunchError, match=f"^HOST {host} is no IPv4 address of this machine: set HOST="),
        hold_port(settings),
    ):
        pass


def test_a_redis_url_that_is_none_fails_the_start_with_one_sentence(tmp_path: Path) -> None:
    ended = launched(tmp_path, REDIS_URL="localhost:6379")
    assert ended.returncode == 1 and len(ended.stderr.strip().splitlines()) == 1
    assert "cannot start: setting REDIS_URL" in ended.stderr and "redis://host:port/0" in ended.stderr


def test_misspelt_setting_fails_the_start_by_name(tmp_path: Path) -> None:
    ended = launched(tmp_path, MAX_QUEUED_JOB="3")
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "unknown setting MAX_QUEUED_JOB" in ended.stderr and "MAX_QUEUED_JOBS" in ended.stderr


def test_missing_checkpoint_fails_the_start_by_name(tmp_path: Path) -> None:
    ended = launched(tmp_path, LAMA_CHECKPOINT=str(tmp_path / "none.pt"), PORT="8999")
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "none.pt" in ended.stderr
    assert not (tmp_path / "jobs" / ".redis" / "redis.pid").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_repeated_signals_end_a_wait_that_they_interrupt(number: int) -> None:
    code = (
        "import sys; from launch.stop_signal import StopSignal; stop = StopSignal(); stop.listen();"
        "print('ready', flush=True);"
        "stop.wait(); stop.wait(); print('woken', flush=True); sys.stdin.read(); sys.exit(7)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        for _ in range(3):
            process.send_signal(number)
        assert process.stdout.readline() == b"woken\n"
        process.stdin.close()
        assert process.wait(20) == 7


def test_stop_is_seen_by_a_wait_in_another_thread() -> None:
    stop = StopSignal()
    assert not stop.is_set() and not stop.wait(0.01)
    threading.Timer(0.05, stop.set).start()
    assert stop.wait(10) and stop.is_set()


def test_ray_that_does_not_start_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> None:
        raise RuntimeError(
            "Traceback (most recent call last):\n  ...\nThe current node timed out during startup."
        )

    monkeypatch.setattr("launch.ray_service.prepare_ray_environment", lambda settings: None)
    monkeypatch.setattr("ray.init", refuse)
    with (
        pytest.raises(
            LaunchError, match=r"^Ray does not start: The current node timed out during startup\. "
        ),
        ray_running(Settings(_env_file=None)),  # type: ignore[call-arg]
    ):
        pass


@pytest.mark.parametrize(
    "fault", ["", "applications: []\n", "proxy_location: Nowhere\napplications: [{import_path: a:b}]\n"]
)
def test_a_reload_of_a_faulty_config_leaves_the_service_as_it_is(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("launch.ray_service.nodes_of_ray", list)
    config = tmp_path / "config.yaml"
    config.write_text(fault)
    _reload(Running("", Settings(_env_file=None), None), config)  # type: ignore[call-arg]
    assert "not reloaded: the serve config" in capsys.readouterr().out


def test_the_service_is_not_looked_for_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    tapcut = SimpleNamespace(status="RUNNING", deployments={}, message="")
    monkeypatch.setattr("ray.serve.status", lambda: SimpleNamespace(applications={"tapcut": tapcut}))
    monkeypatch.setattr("launch.ray_service.START_TIMEOUT_S", 2.0)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(FileServer(b'{"status": "ok"}')) as server:
        wait_until_ready(server.url.rpartition("/")[0], StopSignal())
