from __future__ import annotations

import json
import subprocess
import sys

from trials.backlog import JOBS, MOST_RUNNERS
from trials.service import ROOT


def test_runners_follow_the_backlog_and_leave_without_losing_a_job() -> None:
    command = [sys.executable, "-m", "trials.backlog"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    steps = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    assert [(step["jobs"], step["runners"]) for step in steps] == [
        (0, 1),
        (JOBS, MOST_RUNNERS),
        (2, 1),
        (0, 1),
    ]
    assert steps[-1]["ends"] == [["ready", 1]] * JOBS
