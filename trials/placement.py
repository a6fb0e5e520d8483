"""Who lands where? `python -m trials.placement` deploys `serve_config.yaml` on Ray with logical GPUs.

Owns the scenes: what nodes there are, what the config says there, and what is then seen. Ray, Serve, the
config, `build_app` and the check before deploying are real; the stages' bodies do nothing and no GPU
computes. Prints a line of JSON for each scene, or a table with `--table`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from trials.logical_cluster import LogicalCluster, logical_cluster, poll
from trials.production import deployments_of, production_config

NETWORKS = ("ImageEncoder", "PromptDecoder", "LamaInpainter")


def main() -> int:
    """Play the scenes that are asked for, in their order. Answers the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", default=",".join(SCENES), help=f"of {', '.join(SCENES)}")
    parser.add_argument("--table", action="store_true", help="for people")
    options = parser.parse_args()
    os.environ["REDIS_URL"] = "redis://127.0.0.1:1/0"  # nobody asks it for anything
    os.environ["RAY_SERVE_SLOW_STARTUP_WARNING_S"] = "2"  # read by Serve's controller
    os.environ["RAY_SERVE_SLOW_STARTUP_WARNING_PERIOD_S"] = "1"
    with tempfile.TemporaryDirectory(prefix="tapcut-placement-") as folder, logical_cluster() as cluster:
        for name in options.scenes.split(","):
            seen = SCENES[name](Scene(cluster, Path(folder) / name))
            print(_table(name, seen) if options.table else json.dumps({"scene": name, **seen}), flush=True)
    return 0


class Scene:
    """One deployment on nodes of its own."""

    def __init__(self, cluster: LogicalCluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        folder.mkdir()

    # Any: what was seen, as JSON; a serve config is a tree of YAML.
    def deployed(
        self, nodes: dict[str, dict[str, float]], config: dict[str, Any], **args: object
    ) -> dict[str, Any]:
        """Deploy, wait until it runs, say who landed where; or the refusal."""
        from ray import serve

        from launch.errors import LaunchError

        self.begin(nodes)
        try:
            self.deploy(config, **args)
        except LaunchError as refusal:
            self.end(nodes)
            return {"refusal": str(refusal)}
        poll(lambda: serve.status().applications["tapcut"].status == "RUNNING", within_s=120)
        seen = {"status": "RUNNING", "replicas": self.landed()}
        self.end(nodes)
        return seen

    def begin(self, nodes: dict[str, dict[str, float]]) -> None:
        """Have these nodes and no others."""
        for name, has in nodes.items():
            self.cluster.add(name, cpus=has.get("cpus", 0), gpus=has.get("gpus", 0))

    def end(self, nodes: dict[str, dict[str, float]]) -> None:
        """Delete what was deployed, and the nodes."""
        from ray import serve

        serve.delete("tapcut")
        for name in nodes:
            self.cluster.remove(name)

    def deploy(self, config: dict[str, Any], **args: Any) -> None:
        """As `make serve` does."""
        from launch.ray_service import deploy
        from settings import read_settings

        application = config["applications"][0]
        application["import_path"] = "trials.stand_ins:build_app"
        application["args"] |= {"WORK_DIR": str(self.folder), **args}
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        settings = read_settings(application["args"])
        deploy(settings, path)

    def landed(self) -> list[dict[str, Any]]:
        """What every replica told of itself, in order of node, card and stage."""
        told = [json.loads(path.read_text()) for path in (self.folder / "replicas").glob("*.json")]
        for one in told:
            one["node"] = self.cluster.name_of(one["node"])
        return sorted(told, key=lambda one: (one["node"], one["cards"] or ["~"], one["stage"]))


def _few(config: dict[str, Any], **replicas: int) -> dict[str, Any]:
    """`config` with one replica of each stage, but for those that are named."""
    for name, stage in deployments_of(config).items():
        stage.pop("autoscaling_config", None)
        stage["num_replicas"] = replicas.get(name, 1)
        stage.pop("max_replicas_per_node", None)
    return config


def _one_card(scene: Scene) -> dict[str, Any]:
    return scene.deployed({"node": {"cpus": 12, "gpus": 1}}, _few(production_config()))


def _two_cards(scene: Scene) -> dict[str, Any]:
    config = _few(production_config(), LamaInpainter=3)
    return scene.deployed({"node": {"cpus": 12, "gpus": 2}}, config)


def _whole(scene: Scene) -> dict[str, Any]:
    nodes: dict[str, dict[str, float]] = {f"node{i}": {"cpus": 16, "gpus": 1} for i in (1, 2)}
    return scene.deployed(nodes, production_config())


def _too_large(scene: Scene) -> dict[str, Any]:
    config = _few(production_config())
    return scene.deployed({"node": {"cpus": 12, "gpus": 1}}, config, ENCODER_GPU=0.4)


def _no_card(scene: Scene) -> dict[str, Any]:
    return scene.deployed({"node": {"cpus": 12}}, _few(production_config()))


def _cpu_by_setting(scene: Scene) -> dict[str, Any]:
    return scene.deployed({"node": {"cpus": 12}}, _few(production_config()), DEVICE="cpu")


def _auto_without_card(scene: Scene) -> dict[str, Any]:
    return scene.deployed({"node": {"cpus": 12}}, _few(production_config()), DEVICE="auto")


def _starved(scene: Scene) -> dict[str, Any]:
    """Room that is lost with a node after the check: what Serve's status then tells `/health`."""
    from deployments.stage_states import read_stage_states

    nodes = {"node": {"cpus": 12.0, "gpus": 1.0}, "lost": {"cpus": 1.0, "gpus": 1.0}}
    scene.begin(nodes)
    config = _few(production_config())
    config["applications"][0]["args"] |= {"ENCODER_GPU": 0.4, "INPAINTER_GPU": 0.6}
    scene.deploy(config)
    scene.cluster.remove("lost")
    del nodes["lost"]

    def starved() -> dict[str, str | None]:
        states = read_stage_states("tapcut")
        return {name: state.want_of_room for name, state in states.items() if state.want_of_room}

    found = poll(starved)
    scene.end(nodes)
    return {"starved": found}


def _from_zero(scene: Scene) -> dict[str, Any]:
    """Without GPUs, by setting; the inpainter at zero replicas, and the first call to it."""
    from ray import serve

    from deployments.stage_states import read_stage_states

    nodes = {"node": {"cpus": 12.0}}
    scene.begin(nodes)
    config = production_config()
    zero = deployments_of(config)["LamaInpainter"]["autoscaling_config"] | {
        "metrics_interval_s": 0.5,
        "look_back_period_s": 1,
        "downscale_to_zero_delay_s": 1,
    }
    _few(config)
    stage = deployments_of(config)["LamaInpainter"]
    del stage["num_replicas"]
    stage["autoscaling_config"] = zero
    scene.deploy(config, DEVICE="cpu")
    poll(lambda: serve.status().applications["tapcut"].status == "RUNNING", within_s=120)
    asleep = read_stage_states("tapcut")["LamaInpainter"].asleep
    began = time.monotonic()
    handle = serve.get_deployment_handle("LamaInpainter", "tapcut")
    answer = handle.describe.remote().result(timeout_s=60)
    woken_s = time.monotonic() - began
    poll(lambda: read_stage_states("tapcut")["LamaInpainter"].asleep, within_s=60)
    landed = scene.landed()
    scene.end(nodes)
    return {
        "asleep": asleep,
        "answer": answer,
        "first_call_s": round(woken_s, 1),
        "asleep_again": True,
        "replicas": landed,
    }


SCENES: dict[str, Callable[[Scene], dict[str, Any]]] = {
    "one_card": _one_card,
    "two_cards": _two_cards,
    "whole_file_on_two_nodes": _whole,
    "shares_too_large": _too_large,
    "cuda_without_a_card": _no_card,
    "cpu_by_setting": _cpu_by_setting,
    "auto_without_a_card": _auto_without_card,
    "starved": _starved,
    "from_zero": _from_zero,
}


def _table(name: str, seen: dict[str, Any]) -> str:
    lines = [f"\n{name}"]
    for one in seen.get("replicas", []):
        card = f"GPU {', '.join(one['cards'])} ({one['share']:g})" if one["cards"] else "no GPU"
        visible = repr(one["visible"])
        lines.append(f"  {one['node']:6} {card:14} {one['stage']:15} CUDA_VISIBLE_DEVICES={visible}")
    lines += [f"  {key}: {value}" for key, value in seen.items() if key != "replicas"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
