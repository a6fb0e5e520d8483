from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from deployments.sandbox import CrashedError, Limits, MemoryLimitError, Sandbox, SandboxError, TimeLimitError

LIMITS = Limits(seconds=1.5, memory_bytes=200 << 20, file_bytes=2 << 20)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox("tests.deployments.misbehaving", LIMITS)
    yield sandbox
    sandbox.close()


def server_of(sandbox: Sandbox) -> psutil.Process:
    servers = [one for one in psutil.Process().children() if "tests.deployments.misbehaving" in one.cmdline()]
    return servers[-1]


def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_call_answers_from_another_process(sandbox: Sandbox) -> None:
    answers = [sandbox.run("echo", word="ä", numbers=[1, 2.5]) for _ in range(2)]
    assert all(answer["word"] == "ä" and answer["numbers"] == [1, 2.5] for answer in answers)
    assert len({os.getpid(), *(answer["pid"] for answer in answers)}) == 3


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        ("segfault", {}, CrashedError),
        ("abort", {}, CrashedError),
        ("spin", {}, TimeLimitError),
        ("sleep", {"seconds": 60}, TimeLimitError),
        ("allocate", {"megabytes": 400}, MemoryLimitError),
        ("write_garbage", {}, CrashedError),
        ("nest", {}, CrashedError),
        ("flood", {}, TimeLimitError),
        ("end_silently", {}, CrashedError),
        ("open_files", {"count": 200}, CrashedError),
        ("no_such_function", {}, CrashedError),
    ],
)
def test_a_call_that_misbehaves_is_an_error_and_the_next_one_works(
    sandbox: Sandbox, function: str, arguments: dict[str, Any], error: type[SandboxError]
) -> None:
    started = time.monotonic()
    with pytest.raises(error):
        sandbox.run(function, **arguments)
    assert time.monotonic() - started < LIMITS.seconds + 3
    assert sandbox.run("echo", still="here")["still"] == "here"


def test_a_file_beyond_the_limit_is_not_written(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(CrashedError):
        sandbox.run("write_file", path=str(tmp_path / "large"), megabytes=5)
    assert (tmp_path / "large").stat().st_size <= LIMITS.file_bytes


def test_a_call_within_the_limits_is_not_hindered(sandbox: Sandbox) -> None:
    assert sandbox.run("allocate", megabytes=150)["bytes"] == 150 << 20


def test_calls_beside_a_hanging_one_are_answered_at_once(sandbox: Sandbox) -> None:
    ended: list[float] = []

    def hang() -> None:
        with pytest.raises(TimeLimitError):
            sandbox.run("spin")
        ended.append(time.monotonic())

    hanging = threading.Thread(target=hang)
    hanging.start()
    answered = [sandbox.run("echo")["pid"] and time.monotonic() for _ in range(5)]
    hanging.join()
    assert answered[-1] < ended[0]


def test_children_leave_no_zombies_and_no_descriptors(sandbox: Sandbox) -> None:
    sandbox.run("echo")
    descriptors = psutil.Process().num_fds()
    server = server_of(sandbox)
    of_server = server.num_fds()
    for _ in range(5):
        sandbox.run("echo")
        for function in ("segfault", "end_silently"):
            with pytest.raises(CrashedError):
                sandbox.run(function)
    assert until(lambda: not server.children())
    assert psutil.Process().num_fds() == descriptors and server.num_fds() == of_server


def test_a_grandchild_does_not_delay_the_answer(sandbox: Sandbox) -> None:
    started = time.monotonic()
    assert sandbox.run("leave_a_grandchild")["left"]
    assert time.monotonic() - started < 1.4


def test_children_do_not_see_the_services_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:secret@127.0.0.1/0")
    sandbox = Sandbox("tests.deployments.misbehaving", LIMITS)
    try:
        assert "REDIS_URL" not in sandbox.run("echo")["environment"]
    finally:
        sandbox.close()


def test_a_killed_server_is_replaced(sandbox: Sandbox) -> None:
    before = server_of(sandbox)
    before.kill()
    before.wait()
    assert sandbox.run("echo", again=True)["again"]
    assert server_of(sandbox).pid != before.pid


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_call_whose_server_is_lost_is_made_again(how: signal.Signals) -> None:
    sandbox = Sandbox("tests.deployments.misbehaving", Limits(1, 10 << 20, 1))
    answers: list[Any] = []
    try:
        calling = threading.Thread(target=lambda: answers.append(sandbox.run("sleep", seconds=0.6)))
        server = server_of(sandbox)
        calling.start()
        assert until(lambda: bool(server.children()))
        child = server.children()[0]
        server.send_signal(how)
        calling.join()
        assert answers == [{"slept": 0.6}]
        if sys.platform == "linux":
            assert until(lambda: not child.is_running())
    finally:
        sandbox.close()


def test_everything_ends_with_the_process_that_started_it() -> None:
    program = (
        "import sys, threading, time\n"
        "from deployments.sandbox import Limits, Sandbox\n"
        "sandbox = Sandbox('tests.deployments.misbehaving', Limits(60, 10 << 20, 1))\n"
        "threading.Thread(target=sandbox.run, args=('spin',), daemon=True).start()\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    started = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert started.stdout is not None and started.stdout.readline() == b"up\n"
    family = psutil.Process(started.pid)
    assert until(lambda: len(family.children(recursive=True)) == 2)
    below = family.children(recursive=True)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    started.stdout.close()
    _, left = psutil.wait_procs(below, timeout=10)
    assert not left
