"""Functions for the sandbox that do what broken decoders do."""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any


def echo(**arguments: Any) -> dict[str, Any]:
    return {**arguments, "pid": os.getpid(), "environment": sorted(os.environ)}


def segfault() -> dict[str, Any]:
    ctypes.string_at(0)
    return {}


def abort() -> dict[str, Any]:
    os.abort()


def spin() -> dict[str, Any]:
    while True:
        pass


def sleep(seconds: float) -> dict[str, Any]:
    time.sleep(seconds)
    return {"slept": seconds}


def allocate(megabytes: int) -> dict[str, Any]:
    return {"bytes": len(bytearray(megabytes << 20))}


def write_garbage() -> dict[str, Any]:
    os.write(3, b"\x80\x04 not JSON")
    os._exit(0)


def flood() -> dict[str, Any]:
    while True:
        os.write(3, b"x" * 65_536)


def end_silently() -> dict[str, Any]:
    os._exit(0)


def nest() -> dict[str, Any]:
    os.write(3, b"[" * 15_000)
    os._exit(0)


def write_file(path: str, megabytes: int) -> dict[str, Any]:
    with open(path, "wb") as file:
        for _ in range(megabytes):
            file.write(b"x" * (1 << 20))
    return {}


def open_files(count: int) -> dict[str, Any]:
    return {"open": len([os.open(os.devnull, os.O_RDONLY) for _ in range(count)])}


def leave_a_grandchild() -> dict[str, Any]:
    if os.fork() == 0:
        time.sleep(3)
        os._exit(0)
    return {"left": True}
