from __future__ import annotations

import sys

import psutil
import pytest

from engine.memory import return_freed_memory


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux only")
def test_freed_memory_goes_back_to_the_system() -> None:
    process = psutil.Process()
    # Small pieces with one kept at the end: the heap cannot shrink by itself below that one.
    pieces = [bytes(10_000) for _ in range(20_000)]
    kept = pieces[-1]
    full = process.memory_info().rss
    del pieces
    return_freed_memory()
    assert full - process.memory_info().rss > 100_000_000
    assert len(kept) == 10_000
