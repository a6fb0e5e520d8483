"""The sandbox's other side: a warm process without threads that forks one limited child a call.

Owns the children's lives: fork, limits, deadline, end. Run by `deployments.sandbox` as
`python -m deployments.sandbox_server MODULE DESCRIPTOR LIMITS`; ends with the process that started it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import math
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from deployments.sandbox import Limits

OUT_OF_MEMORY = 77  # exit code of a child whose function raised MemoryError
_CHILD_DESCRIPTORS = 64
_THREADS_BYTES = 2 << 30  # address space, not memory: stacks and arenas of a decoder's threads
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


@dataclass(slots=True)
class _Child:
    deadline: float
    verdict: int  # descriptor
    timed_out: bool = False


def main() -> None:
    """Serve calls until the other end of the control socket closes."""
    module = importlib.import_module(sys.argv[1])
    control = socket.socket(fileno=int(sys.argv[2]))
    limits = Limits(**json.loads(sys.argv[3]))
    if hasattr(module, "warm_up"):
        module.warm_up()
    gc.collect()
    gc.freeze()  # a child that collects would otherwise copy every page of what was imported
    _Server(module, control, limits).serve()


class _Server:
    def __init__(self, module: ModuleType, control: socket.socket, limits: Limits) -> None:
        self._module = module
        self._control = control
        self._limits = limits
        self._children: dict[int, _Child] = {}
        self._wake, wake = socket.socketpair()
        self._wake.setblocking(False)
        wake.setblocking(False)
        self._wake_write = wake
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake the loop
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        self._prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def serve(self) -> None:
        self._control.sendall(b"r")
        while True:
            deadlines = [child.deadline for child in self._children.values() if not child.timed_out]
            wait_s = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
            ready, _, _ = select.select([self._control, self._wake], [], [], wait_s)
            if self._wake in ready:
                with suppress(BlockingIOError):
                    self._wake.recv(4096)
            self._reap()
            self._kill_late()
            if self._control in ready and not self._accept():
                break
        for number in self._children:
            os.kill(number, signal.SIGKILL)

    def _accept(self) -> bool:
        """Start one call; false when the client is gone."""
        header, descriptors, _, _ = socket.recv_fds(self._control, 4, 2)
        if not header:
            return False
        wanted = struct.unpack("!I", header)[0]
        message = self._control.recv(wanted, socket.MSG_WAITALL)
        answer, verdict = descriptors
        number = os.fork()
        if number == 0:
            self._be_child(json.loads(message), answer)
        os.close(answer)
        self._children[number] = _Child(time.monotonic() + self._limits.seconds, verdict)
        return True

    def _kill_late(self) -> None:
        now = time.monotonic()
        for number, child in self._children.items():
            if not child.timed_out and now >= child.deadline:
                child.timed_out = True
                os.kill(number, signal.SIGKILL)  # not reaped yet, so the number is still its own

    def _reap(self) -> None:
        while self._children:
            number, status = os.waitpid(-1, os.WNOHANG)
            if number == 0:
                return
            child = self._children.pop(number)
            code = os.waitstatus_to_exitcode(status)
            verdict = {
                "timed_out": child.timed_out,
                "out_of_memory": code == OUT_OF_MEMORY,
                "signal": max(0, -code),
                "code": max(0, code),
            }
            with suppress(BrokenPipeError):
                os.write(child.verdict, json.dumps(verdict).encode())
            os.close(child.verdict)

    def _be_child(self, request: dict[str, Any], answer: int) -> None:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(answer, 3)
            os.closerange(4, 1 << 12)
            self._confine()
            result = getattr(self._module, request["function"])(**request["arguments"])
            os.write(3, json.dumps(result).encode())
            code = 0
        except MemoryError:
            code = OUT_OF_MEMORY
        except BaseException as error:
            with suppress(Exception):
                print(f"sandbox: {request.get('function')}: {error!r}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)

    def _confine(self) -> None:
        server = os.getppid()
        if self._prctl is not None:
            self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            self._prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            if os.getppid() != server:
                os._exit(1)
            with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
                score.write("1000")  # when the machine itself runs out, this goes first
        seconds = math.ceil(self._limits.seconds)
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_CPU, seconds, seconds + 1)
        _limit(resource.RLIMIT_FSIZE, self._limits.file_bytes)
        _limit(resource.RLIMIT_NOFILE, _CHILD_DESCRIPTORS)
        if sys.platform == "linux":
            pages = [int(field) for field in Path("/proc/self/statm").read_text().split()]
            size, data = pages[0] * resource.getpagesize(), pages[5] * resource.getpagesize()
            # Data is what is truly asked for; address space bounds mappings that do not count as data.
            _limit(resource.RLIMIT_DATA, data + self._limits.memory_bytes)
            _limit(resource.RLIMIT_AS, size + self._limits.memory_bytes + _THREADS_BYTES)


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    _, allowed = resource.getrlimit(kind)
    wanted = soft if hard is None else hard
    if allowed != resource.RLIM_INFINITY:
        soft, wanted = min(soft, allowed), min(wanted, allowed)
    resource.setrlimit(kind, (soft, wanted))


if __name__ == "__main__":
    main()
