"""Does a serve config fit? `python -m launch.check_placement serve_config.yaml [--node 2xCPU=16,GPU=1 ...]`.

Owns the nodes to pack onto: those of the running Ray, or, for clusters whose nodes come when they are needed,
those that `--node` names (how many of a kind there may be at most). Deploys nothing.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from launch.configuration import read_config
from launch.errors import LaunchError
from launch.placement import Demand, Node, Placed, demands_of, place, update_demands
from settings import Settings, SettingsError, read_settings


def main(arguments: list[str] | None = None) -> int:
    """Print where each replica has room, or the refusal. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launch.check_placement", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument(
        "--node",
        action="append",
        default=[],
        metavar="[COUNTx]CPU=N,GPU=N,memory=BYTES",
        help="nodes that there are or may come; without any, those of the Ray that runs",
    )
    options = parser.parse_args(arguments)
    try:
        config = read_config(options.config)
        settings = read_settings(config["applications"][0].get("args"))
        nodes = [node_of(text, i) for i, text in enumerate(options.node)] or _connected_nodes()
        placed = require_placement(config, settings, nodes)
    except (LaunchError, SettingsError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    if not placed:
        print("not found out: too many ways to place it; it is not known to be too much")
    for node, what in _by_node(placed).items():
        print(f"{node}: {', '.join(what)}")
    print(_update_words(config, demands_of(config, settings, _has_gpus(nodes)), nodes))
    return 0


# Any: a serve config is a tree of YAML.
def require_placement(
    config: Mapping[str, Any], settings: Settings, nodes: Sequence[Node]
) -> tuple[Placed, ...]:
    """A place for every replica that must be there; none, if that could not be found out.

    Raises:
        LaunchError: there is none; the message names the stage, what is there, and what to change.
    """
    placement = place(demands_of(config, settings, _has_gpus(nodes)), nodes)
    if placement.refusal:
        raise LaunchError(placement.refusal)
    return placement.placed


def node_of(text: str, index: int) -> Node:
    """`2xCPU=16,GPU=1,memory=64e9`, the count being optional.

    Raises:
        LaunchError: it is not of that form.
    """
    match = re.fullmatch(r"(?:(\d+)x)?(\w[\w.:-]*=[\d.e+]+(?:,\w[\w.:-]*=[\d.e+]+)*)", text)
    if match is None:
        raise LaunchError(f"--node {text}: write for example 2xCPU=16,GPU=1,memory=64e9")
    amounts = {
        kind: float(amount) for kind, amount in (part.split("=") for part in match.group(2).split(","))
    }
    return Node(f"node{index + 1}", amounts, int(match.group(1) or 1))


def nodes_of_ray() -> list[Node]:
    """The nodes of the Ray that this process is connected to."""
    import ray

    return [
        Node(f"node{i + 1}", {kind: amount for kind, amount in one["Resources"].items() if ":" not in kind})
        for i, one in enumerate(one for one in ray.nodes() if one["Alive"] and one["Resources"].get("CPU"))
    ]


def _connected_nodes() -> list[Node]:
    import ray

    try:
        ray.init(address="auto", logging_level="warning", log_to_driver=False)
    except ConnectionError as error:
        raise LaunchError("no Ray runs here: start it, or name the nodes with --node") from error
    try:
        return nodes_of_ray()
    finally:
        ray.shutdown()


def _has_gpus(nodes: Iterable[Node]) -> bool:
    return any(node.resources.get("GPU", 0) for node in nodes)


def _by_node(placed: Iterable[Placed]) -> dict[str, list[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for one in placed:
        on = f" on GPU {', '.join(map(str, one.cards))}" if one.cards else ""
        found[one.node][one.stage + on] += 1
    return {
        node: [f"{count} x {what}" if count > 1 else what for what, count in sorted(counts.items())]
        for node, counts in sorted(found.items())
    }


def _update_words(config: Mapping[str, Any], demands: Sequence[Demand], nodes: Sequence[Node]) -> str:
    surge = update_demands(config, demands)
    if surge == tuple(demands):
        alone = sorted(one.stage for one in demands if one.replicas == 1)
        gap = f"; meanwhile a stage of one replica does not answer: {', '.join(alone)}" if alone else ""
        return f"rolling update: old replicas go before new ones come and need no further room{gap}"
    fits = place(surge, nodes)
    if fits.refusal:
        return f"rolling update: the replicas of max_surge_percent do not fit beside the old: {fits.refusal}"
    return "rolling update: the replicas of max_surge_percent fit beside the old"


if __name__ == "__main__":
    sys.exit(main())
