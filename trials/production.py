"""The production config, made small enough for nodes that are processes of one machine without a GPU.

Owns what is taken away. Which stages there are, how they are spread, batched and drained stays what
`serve_config.yaml` says.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import yaml

from trials.service import ROOT

MOST_REPLICAS = 3  # of a stage
CPU_SHARE = 0.1  # logical, of each replica


# Any: a serve config is a tree of YAML.
def production_config() -> dict[str, Any]:
    """`serve_config.yaml` as it is."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    return config


def small_variant(
    config: Mapping[str, Any], port: int, args: Mapping[str, Any], most: int = MOST_REPLICAS
) -> dict[str, Any]:
    """`config` for CPUs, on loopback's `port`, with the least replicas of each stage and `args` over its own.

    No stage has more than `most` replicas. The address of Redis is left to the environment, as
    `docs/security.md` asks for.
    """
    small = copy.deepcopy(dict(config))
    small["http_options"] |= {"host": "127.0.0.1", "port": port}
    application = small["applications"][0]
    own = {name: value for name, value in application["args"].items() if name != "REDIS_URL"}
    application["args"] = {**own, "DEVICE": "cpu", "CHECKPOINT_DOWNLOAD": False, **args}
    for deployment in application["deployments"]:
        actor = deployment.setdefault("ray_actor_options", {})
        actor.pop("num_gpus", None)
        actor.pop("memory", None)
        actor["num_cpus"] = CPU_SHARE
        if "num_replicas" in deployment:
            deployment["num_replicas"] = min(deployment["num_replicas"], most)
        if (scaling := deployment.get("autoscaling_config")) is not None:
            scaling["min_replicas"] = (
                scaling["min_replicas"] or 2
            )  # asleep, a start would be what is measured
            scaling["max_replicas"] = max(
                scaling["min_replicas"], min(scaling["max_replicas"], MOST_REPLICAS)
            )
    return small


def deployments_of(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The config's stages by name."""
    return {one["name"]: one for one in config["applications"][0]["deployments"]}
