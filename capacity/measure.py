"""Service times of every stage on this machine, and what a job moves, into one JSON file.

    python -m capacity.measure [--networks full|bundled] [--out FILE]

Runs the networks alone for their batching curves, then a service with one client. The plan
(`python -m capacity.plan`) is made of this file. About 3 minutes on a quiet machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from capacity.alone import SIDE, one_round, service_times
from capacity.crowding import in_a_process_of_its_own, measure_crowding
from capacity.curves import measure_curves
from capacity.one_client import OneClient
from capacity.traffic import count_hops, count_traffic
from capacity.validate import RESULTS
from trials.service import CACHE, ROOT, running_service

BENCH_CACHE = Path(tempfile.gettempdir()) / "tapcut-bench-cache"
PROBES = {1: 16, 3: 12}
MEASURED = RESULTS / "measured.json"


def settings_for(networks: str, folder: Path) -> dict[str, str]:
    """Settings of a service with the bundled networks, or with full-size ones of made-up values."""
    common = {"CHECKPOINT_DOWNLOAD": "false"}
    if networks == "bundled":
        return {**common, "CACHE_DIR": str(CACHE)}
    from benchmarks.seeded_checkpoints import write_seeded_checkpoints

    mobile_sam, lama = write_seeded_checkpoints(ROOT / "tests" / "golden", 0, folder, discs=True)
    paths = {"MOBILE_SAM_CHECKPOINT": str(mobile_sam), "LAMA_CHECKPOINT": str(lama)}
    return {**common, **paths, "CACHE_DIR": str(BENCH_CACHE)}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m capacity.measure", description=__doc__)
    parser.add_argument("--networks", choices=("full", "bundled"), default="full")
    parser.add_argument("--out", type=Path, default=MEASURED)
    options = parser.parse_args()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {line}", flush=True)

    facts: Mapping[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        **describe_machine(),
        "networks": options.networks,
    }
    with tempfile.TemporaryDirectory(prefix="tapcut-capacity-") as folder:
        settings = settings_for(options.networks, Path(folder))
        curves = in_a_process_of_its_own(measure_curves, settings)
        say("networks measured alone")
        hops = {n: in_a_process_of_its_own(count_hops, settings, n, SIDE) for n in PROBES}
        crowding = measure_crowding()
        with running_service(settings) as service:
            say("the service is ready")
            times = service_times(one_round(service, PROBES, say), crowding, facts)
            client = OneClient(service)
            traffic = {f"{n}": {**count_traffic(service, client, n, SIDE), **hops[n]} for n in PROBES}
            client.visitor.close()
    replace(times, traffic=traffic, curves=curves).write(options.out)
    say(f"written: {options.out}")


if __name__ == "__main__":
    main()
