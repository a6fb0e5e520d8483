"""The serve config of a load test on one machine: the local one, with replicas that follow the load.

Owns the few numbers that differ: least and most replicas of each stage, when it grows, and how soon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trials.service import ROOT

LOCAL = ROOT / "serve_config.local.yaml"


@dataclass(frozen=True, slots=True)
class Scaling:
    """How a stage grows. `target`: requests in hand or waiting for each replica; a runner's are jobs."""

    most: int
    target: float
    least: int = 1
    user_config: Mapping[str, float] | None = None
    policy: str = ""


# What waits inside a stage for another one counts, too: a picture to write waits for its fills, seven
# pictures a job of three objects. So the composer's target is far above what it works on at a time.
# Batches are short: on a CPU two take as long together as one after the other. Three inpainters are as much
# as two cores can use beside all others: with four, fewer jobs were done and uploads waited (docs/load.md).
SCALING = {
    "PhotoIntake": Scaling(most=3, target=1.0),
    "ImageEncoder": Scaling(most=2, target=3.0, user_config={"max_batch_size": 4}),
    "PromptDecoder": Scaling(most=2, target=6.0),
    "MaskRefiner": Scaling(most=2, target=3.0),
    "LamaInpainter": Scaling(most=3, target=3.0, user_config={"max_batch_size": 2}),
    "ResultComposer": Scaling(most=2, target=32.0),
    "JobRunner": Scaling(
        most=3,
        target=5.0,
        user_config={"concurrent_jobs": 6},
        policy="deployments.scaling:runners_for_backlog",
    ),
}
# How often callers tell what waits, and how long it is averaged: Ray's 10 s and 30 s are long in such a day.
# Ray calls metrics_interval_s deprecated, but reads the variables that shall replace it nowhere yet (2.60).
DELAYS = {
    "metrics_interval_s": 1.0,
    "look_back_period_s": 4.0,
    "upscale_delay_s": 3.0,
    "downscale_delay_s": 10.0,
    # One replica at a time: several that start together on two cores take them from the users who wait.
    "upscaling_factor": 0.3,
}
ONGOING = {"ResultComposer": 48, "MaskRefiner": 8, "JobRunner": 6}  # at least the target
# Replicas share two cores; what Ray books for each must leave room for all of them.
CPUS = 0.04
SETTINGS = {
    "THREADS": "1",  # of each replica: two of them are two cores' worth of work
    "CHECKPOINT_DOWNLOAD": "false",
}


def write_config(path: Path) -> dict[str, tuple[int, int]]:
    """Write the serve config to `path`; answers least and most replicas by deployment."""
    config: dict[str, Any] = yaml.safe_load(LOCAL.read_text())
    replicas = {}
    for deployment in config["applications"][0]["deployments"]:
        deployment.setdefault("ray_actor_options", {})["num_cpus"] = CPUS
        scaling = SCALING.get(deployment["name"])
        if scaling is None:
            replicas[deployment["name"]] = (deployment.get("num_replicas", 1),) * 2
            continue
        replicas[deployment["name"]] = (scaling.least, scaling.most)
        if scaling.user_config:
            deployment["user_config"] = {**deployment["user_config"], **scaling.user_config}
        deployment["max_ongoing_requests"] = ONGOING.get(
            deployment["name"], deployment["max_ongoing_requests"]
        )
        deployment.pop("num_replicas", None)
        deployment["autoscaling_config"] = {
            "min_replicas": scaling.least,
            "max_replicas": scaling.most,
            "target_ongoing_requests": scaling.target,
            **({"policy": {"policy_function": scaling.policy}} if scaling.policy else {}),
            **DELAYS,
        }
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return replicas
