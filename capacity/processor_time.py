"""Whose processor time it was: each part of a running service, its client, and everybody else.

Owns the mapping of processes to parts. Linux; core-seconds since a process began.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

CLIENT = "client"
PARTS = {
    "ray::ServeReplica:tapcut:": "",  # named by their deployment
    "ray::ProxyActor": "HTTP proxy",
    "ray::ServeController": "controller",
    "deployments.sandbox_server": "PhotoIntake",
}
PROGRAMS = {"redis-server": "Redis", "gcs_server": "Ray", "raylet": "Ray"}


@dataclass(frozen=True, slots=True)
class Spent:
    """Core-seconds by part between two moments, `seconds` apart; `foreign`: all other processes'."""

    seconds: float
    by_part: Mapping[str, float]
    foreign: float

    @property
    def service(self) -> float:
        """Of all the service's processes, the client's not among them."""
        return sum(value for part, value in self.by_part.items() if part != CLIENT)


class ProcessorTime:
    """A clock of the processor time of the service below `root` and of this process, its client."""

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._parts: dict[int, str] = {}
        self._at, self._busy, self._last = time.monotonic(), _busy(), self._times()

    def lap(self) -> Spent:
        """What was spent since the last lap; a process that began or ended since counts as far as known."""
        now, busy, times = time.monotonic(), _busy(), self._times()
        by_part: defaultdict[str, float] = defaultdict(float)
        for pid, total in times.items():
            by_part[self._parts[pid]] += max(0.0, total - self._last.get(pid, total))
        spent = Spent(now - self._at, dict(by_part), max(0.0, busy - self._busy - sum(by_part.values())))
        self._at, self._busy, self._last = now, busy, times
        return spent

    def _times(self) -> dict[int, float]:
        times = {}
        for process in (psutil.Process(os.getpid()), self._root, *self._root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                part = self._parts.get(process.pid) or self._part_of(process)
                self._parts[process.pid] = part
                spent = process.cpu_times()
                total = spent.user + spent.system
                if part == "PhotoIntake":  # its sandbox works in children that end
                    total += spent.children_user + spent.children_system
                times[process.pid] = total
        return times

    def _part_of(self, process: psutil.Process) -> str:
        if process.pid == os.getpid():
            return CLIENT
        words = process.cmdline()
        for word in words:
            for start, part in PARTS.items():
                if word.startswith(start):
                    return part or word.removeprefix(start).split("#")[0].split(":")[0]
        return PROGRAMS.get(process.name(), "Ray")


def _busy() -> float:
    """Core-seconds that anybody has used of this machine, or a hypervisor has kept from it."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
