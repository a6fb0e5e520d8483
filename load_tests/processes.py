"""CPU and memory of a local service by stage.

Owns the finding of a stage's processes and the differences between two looks; Linux.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

from trials.processes import MIB, role_of

MACHINE, STOLEN = "machine", "stolen"  # not roles: all processes together, and the host's other guests
CHILD_OF = {"sandbox": "PhotoIntake"}  # whose work it does


@dataclass(frozen=True, slots=True)
class Usage:
    """Cores taken since the last look, resident MiB, by role of the process."""

    cpu: Mapping[str, float]
    rss_mib: Mapping[str, float]


class Family:
    """The processes under one, looked at again and again. `deployments`: the names of the stages."""

    def __init__(self, root: psutil.Process, deployments: Collection[str] = ()) -> None:
        self._root, self._deployments = root, deployments
        self._roles: dict[int, str] = {}
        self._spent: dict[int, float] = {}
        self._machine = psutil.cpu_times()
        self._looked = time.monotonic()

    def look(self) -> Usage:
        """What each role took since the look before; the first, and one at nobody, answers zeros."""
        now = time.monotonic()
        seconds, self._looked = max(now - self._looked, 1e-3), now
        cpu: defaultdict[str, float] = defaultdict(float)
        rss: defaultdict[str, float] = defaultdict(float)
        spent: dict[int, float] = {}
        family: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):  # Locust ends before the sampling does
            family = [self._root, *self._root.children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, FileNotFoundError, ProcessLookupError):
                role = self._role(process)
                if role is None:
                    continue
                times = process.cpu_times()
                # Those that it has waited for are its own work: the sandbox forks one a picture.
                spent[process.pid] = sum(times[:4])
                if process.pid in self._spent:
                    cpu[role] += max(0.0, spent[process.pid] - self._spent[process.pid]) / seconds
                rss[role] += process.memory_info().rss / MIB
        self._spent = spent
        cpu |= self._machine_since(seconds)
        return Usage(dict(cpu), dict(rss))

    def _role(self, process: psutil.Process) -> str | None:
        known = self._roles.get(process.pid)
        if known is not None:
            return known
        if process.pid == self._root.pid:
            role: str | None = "launcher"
        else:
            role = role_of(process.pid)
        if role == "sandbox" and role_of(process.ppid()) == "sandbox":
            return None  # a fork for one picture: its parent is charged with it
        role = CHILD_OF.get(role or "", role)
        # A worker is Ray's until its command line says which deployment's replica it has become.
        if role is not None and role in self._deployments:
            self._roles[process.pid] = role
        return role

    def _machine_since(self, seconds: float) -> dict[str, float]:
        """Cores that all processes took, and those that the host kept from a virtual machine."""
        before, self._machine = self._machine, psutil.cpu_times()
        since = {name: value - getattr(before, name) for name, value in self._machine._asdict().items()}
        stolen = since.get("steal", 0.0)
        # Guests' time is in the users' already.
        others = ("idle", "iowait", "steal", "guest", "guest_nice")
        busy = sum(value for name, value in since.items() if name not in others)
        return {STOLEN: max(0.0, stolen) / seconds, MACHINE: max(0.0, busy) / seconds}
