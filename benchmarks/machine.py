"""What this machine is, what its cores can do at most, and what processes hold of its memory.

Owns the measuring of the matrix-product peak and of memory by PSS; Linux for both facts and memory.
"""

from __future__ import annotations

import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parents[1]
TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
MATRIX_SIDE, TRIED_SIDE, PEAK_S = 2048, 256, 2.0


def describe_machine() -> dict[str, Any]:
    """Cores, processor, memory, load and versions, for the head of a report."""
    info = dict(_cpu_lines())
    flags = [flag for flag in TELLING_FLAGS if flag in info.get("flags", "").split()]
    return {
        "machine": f"{os.cpu_count()} cores, {info.get('model name', platform.processor())}",
        "cpu flags": " ".join(flags) or "none of interest",
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "load average at start": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "commit": _commit(),
    }


def _cpu_lines() -> list[tuple[str, str]]:
    with suppress(OSError):
        pairs = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
        return [(name.strip(), value.strip()) for name, _, value in pairs]
    return []


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return f"{git('rev-parse', '--short', 'HEAD')}{changed}"


def matrix_peak(threads: int) -> dict[str, float]:
    """Best GFLOP/s of a square matrix product in torch on `threads` threads, by number format.

    int8: unsigned bytes times signed ones, summed in 32 bits, as networks in 8 bits do.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    ways: dict[str, Callable[[int], Callable[[], Any]]] = {
        "fp32": partial(_product, torch.float32),
        "bf16": partial(_product, torch.bfloat16),
        "int8": _product_of_bytes,
    }
    best: dict[str, float] = {}
    for name, prepare in ways.items():
        tried = _best_rate(prepare(TRIED_SIDE), TRIED_SIDE)
        # What a processor does not have is computed number by number: a large product would take minutes.
        is_there = tried > best.get("fp32", 0) / 20
        best[name] = _best_rate(prepare(MATRIX_SIDE), MATRIX_SIDE) if is_there else tried
    return best


def _best_rate(multiply: Callable[[], Any], side: int) -> float:
    multiply()
    shortest, ends = float("inf"), time.monotonic() + PEAK_S
    while time.monotonic() < ends:
        started = time.perf_counter()
        multiply()
        shortest = min(shortest, time.perf_counter() - started)
    return 2 * side**3 / shortest / 1e9


def _product(kind: torch.dtype, side: int) -> Callable[[], Any]:
    import torch

    left, right = (torch.rand(side, side).to(kind) for _ in range(2))
    return partial(torch.mm, left, right)


def _product_of_bytes(side: int) -> Callable[[], Any]:
    """By oneDNN's kernels: torch's own product of bytes has none for processors without VNNI."""
    import torch

    values = torch.randint(0, 256, (side, side), dtype=torch.uint8)
    weights = torch.randint(-127, 128, (side, side), dtype=torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(weights, [side, side])
    steps, zeros = torch.full((side,), 1 / 127), torch.zeros(side, dtype=torch.int64)
    # No bias, unscaled, nothing applied to it.
    into: tuple[Any, ...] = (None, 1.0, 0, torch.float32, "none", [], "")
    return partial(torch.ops.onednn.qlinear_pointwise, values, 1 / 255, 0, packed, steps, zeros, *into)


def family(root: psutil.Process) -> list[psutil.Process]:
    """A process and all that descend from it."""
    with suppress(psutil.NoSuchProcess):
        return [root, *root.children(recursive=True)]
    return []


def shared_out_memory(root: psutil.Process) -> float:
    """MiB of a process and its descendants; a page that several have counts for each in part (PSS)."""
    total = 0
    for process in family(root):
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            total += int(next(line.split()[1] for line in lines if line.startswith("Pss:")))
    return total / 1024


def processor_seconds(root: psutil.Process) -> float:
    """CPU seconds that a process and its living descendants have used."""
    total = 0.0
    for process in family(root):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


class MemoryWatch:
    """The most memory that a process's family had while the context lasted, MiB in `most`."""

    def __init__(self, root: psutil.Process, every_s: float = 1.0) -> None:
        self._root, self._every_s = root, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most = shared_out_memory(root)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._every_s):
            self.most = max(self.most, shared_out_memory(self._root))
