"""The short form of `make chaos`: what serves requests is killed under load; no job and no call is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import redis

from trials.chaos_audit import audit_jobs
from trials.chaos_faults import all_faults
from trials.chaos_load import Load
from trials.chaos_scene import Scene
from trials.chaos_strike import Row, strike
from trials.chaos_verdict import broken_promises
from trials.service import Service

CLIENTS = 3
RECOVERY_S = 40.0  # other tests' machines are busy; `make chaos` holds to the promise


@pytest.mark.parametrize(
    ("name", "seed"), [("Ingress", 101), ("proxy", 102), ("controller", 103), ("Redis", 104)]
)
async def test_every_job_and_call_survives_the_death_of(service: Service, name: str, seed: int) -> None:
    load, row = Load(service.url, CLIENTS, seed), Row()
    with redis.Redis.from_url(service.redis_url, decode_responses=True) as store:
        scene = Scene(service, load, store, random.Random(seed), config=Path(), lease_s=2.0)
        load.start()
        await strike(name, all_faults(service)[name], scene, row, say=print)
        await load.stop()
    findings = await audit_jobs(service, load.ledger)
    assert row.injected == 1 and row.recoveries_s
    broken = broken_promises({name: row}, load.ledger, findings, least_jobs=CLIENTS, recovery_s=RECOVERY_S)
    assert list(broken) == []
