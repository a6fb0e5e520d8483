from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil

from load_tests.processes import Family


def test_cores_of_a_busy_child_are_counted_until_it_is_gone() -> None:
    busy = subprocess.Popen(
        [sys.executable, "-c", "print(1, flush=True)\nwhile True: pass"], stdout=subprocess.PIPE
    )
    assert busy.stdout is not None
    busy.stdout.readline()
    family = Family(psutil.Process(busy.pid))
    family.look()
    spent = psutil.Process(busy.pid).cpu_times().user
    deadline = time.monotonic() + 20
    while psutil.Process(busy.pid).cpu_times().user < spent + 0.3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    usage = family.look()
    busy.kill()
    busy.communicate()
    assert 0 < usage.cpu["launcher"] <= 1.2 and usage.rss_mib["launcher"] > 1
    assert usage.cpu["launcher"] <= usage.cpu["machine"] + 0.2 <= (os.cpu_count() or 1) + 0.4
    assert "launcher" not in family.look().cpu
