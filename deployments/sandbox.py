"""Calls whose crash, memory or endless loop must hurt nobody: each runs in a process of its own.

Owns the client's side: a server process that has everything imported (`deployments.sandbox_server`)
forks one child a call, so that a call costs a fork, not a start of Python. Children answer JSON, never
pickle. This bounds what broken input does to a service; against code that an attacker gets to run in a
decoder it is one layer only, as the child runs under the service's own user.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

START_S = 60.0
GRACE_S = 5.0  # between a call's time limit and giving up its server
MAX_ANSWER_BYTES = 16_384  # less than the smallest pipe: a child that says more blocks until its time is up


class SandboxError(Exception):
    """A call in the sandbox did not answer; the subclass says why."""


class TimeLimitError(SandboxError):
    """The call took longer than its time limit."""


class MemoryLimitError(SandboxError):
    """The call needed more memory than its limit."""


class CrashedError(SandboxError):
    """The call ended by a signal, or answered nothing that can be read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use."""

    seconds: float  # by the clock, and of processor time
    memory_bytes: int  # beyond what the server itself has
    file_bytes: int  # of the largest file that it writes


class Sandbox:
    """Runs functions of one module, a child process each. For threads; ends with this process."""

    def __init__(self, module: str, limits: Limits) -> None:
        """Start the server, which imports `module` and calls its `warm_up()` where it has one.

        Raises:
            CrashedError: it does not start.
        """
        self._module = module
        self._limits = limits
        self._lock = threading.Lock()
        self._server, self._control = self._start()

    def run(self, function: str, **arguments: Any) -> Mapping[str, Any]:
        """Call `module.function(**arguments)` in a child; arguments and answer are JSON objects.

        A call whose server ended is made again once, by a new server: calling twice must be harmless.

        Raises:
            TimeLimitError, MemoryLimitError, CrashedError: it did not answer.
        """
        request = {"function": function, "arguments": arguments}
        verdict, answer = self._ask(request)
        if not verdict:
            verdict, answer = self._ask(request)
        return self._judge(verdict, answer)

    def _ask(self, request: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """What the server says of the child's end, and the child's answer; nothing when the server ended."""
        answer_read, answer_write = os.pipe()
        verdict_read, verdict_write = os.pipe()
        try:
            try:
                server = self._send(request, [answer_write, verdict_write])
            finally:
                os.close(answer_write)
                os.close(verdict_write)
            verdict = _read_all(verdict_read, self._limits.seconds + GRACE_S)
            if not verdict:
                server.kill()  # dead or stopped: the next call starts another
                server.wait()
                return b"", b""
            os.set_blocking(answer_read, False)
            try:
                return verdict, os.read(answer_read, MAX_ANSWER_BYTES)
            except BlockingIOError:  # nothing was said, and a grandchild holds the pipe open
                return verdict, b""
        finally:
            os.close(answer_read)
            os.close(verdict_read)

    def close(self) -> None:
        """End the server and whatever it runs."""
        with self._lock:
            self._end(self._server, self._control)

    def _judge(self, verdict: bytes, answer: bytes) -> Mapping[str, Any]:
        if not verdict:
            raise CrashedError("the sandbox's server ended")
        ended = json.loads(verdict)
        if ended["timed_out"] or ended["signal"] == signal.SIGXCPU:
            raise TimeLimitError(f"more than {self._limits.seconds:g} s")
        if (
            ended["out_of_memory"] or ended["signal"] == signal.SIGKILL
        ):  # the system's own killer, out of memory
            raise MemoryLimitError(f"more than {self._limits.memory_bytes / 1e6:.0f} MB")
        try:
            read = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise CrashedError(f"ended with {ended}, answered {len(answer)} bytes") from error
        if ended["signal"] or ended["code"] or not isinstance(read, dict):
            raise CrashedError(f"ended with {ended}")
        return read

    def _send(self, request: Mapping[str, Any], descriptors: list[int]) -> subprocess.Popen[bytes]:
        message = json.dumps(request).encode()
        message = struct.pack("!I", len(message)) + message
        with self._lock:
            try:
                if self._server.poll() is not None:
                    raise BrokenPipeError
                socket.send_fds(self._control, [message], descriptors)
            except OSError:  # somebody ended the server
                self._end(self._server, self._control)
                self._server, self._control = self._start()
                socket.send_fds(self._control, [message], descriptors)
            return self._server

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "deployments.sandbox_server", self._module, str(theirs.fileno())]
        with theirs:
            server = subprocess.Popen(
                [*command, json.dumps(asdict(self._limits))],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the service, which ends this in its own order
            )
        ours.settimeout(START_S)
        with suppress(OSError):
            if ours.recv(1):
                ours.settimeout(GRACE_S)
                return server, ours
        self._end(server, ours)
        raise CrashedError(f"the sandbox of {self._module} does not start")

    @staticmethod
    def _end(server: subprocess.Popen[bytes], control: socket.socket) -> None:
        control.close()
        try:
            server.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _environment() -> dict[str, str]:
    # Nothing of the service's own, such as the address of Redis with its password; one thread each, as
    # threads do not survive a fork.
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",  # macOS: forking after frameworks were loaded
    }


def _read_all(descriptor: int, seconds: float) -> bytes:
    """Everything until the other end closes, or nothing when it does not in time."""
    deadline, read = time.monotonic() + seconds, b""
    while select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(descriptor, 4096)
        if not chunk:
            return read
        read += chunk
    return b""
