"""Will all replicas find room? Known before anything is deployed, where Ray would leave them STARTING.

Owns the demands that follow from a serve config and its settings, and the packing of demands onto nodes.
Pure: knows nothing of a running Ray. A GPU's share is of one card, so cards are packed one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deployments.network_resources import SHARE_SETTINGS, network_resources
from settings import Settings

MOST_STEPS = 2000  # of the search, about a second; what it has not decided by then is not refused
GRAIN = 1e-4  # Ray's own, of a resource
UNITS = {"CPU": 1.0, "GPU": 1.0, "memory": 1e9}


@dataclass(frozen=True, slots=True)
class Node:
    """A node, or `count` alike. `resources` by Ray's names: CPU, GPU (cards), memory (bytes), others."""

    name: str
    resources: Mapping[str, float]
    count: int = 1


@dataclass(frozen=True, slots=True)
class Demand:
    """`replicas` of a stage; each asks one node for `resources` (GPU: 0..1 of one card, or whole cards)."""

    stage: str
    replicas: int
    resources: Mapping[str, float]
    most_per_node: int | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """One replica's place: its stage, its node, and the cards there that it has a part of."""

    stage: str
    node: str
    cards: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """A way to place all demands, or why there is none; neither, if that was not found out in time."""

    placed: tuple[Placed, ...]
    refusal: str = ""


# Any: a serve config is a tree of YAML.
def demands_of(config: Mapping[str, Any], settings: Settings, cluster_has_gpus: bool) -> tuple[Demand, ...]:
    """What each stage needs at least to do its work: its least replicas, and one if it may go to zero."""
    return tuple(
        Demand(
            stage["name"],
            _least_replicas(stage, settings),
            resources_of(stage, settings, cluster_has_gpus),
            stage.get("max_replicas_per_node"),
        )
        for stage in config["applications"][0]["deployments"]
    )


def resources_of(stage: Mapping[str, Any], settings: Settings, cluster_has_gpus: bool) -> dict[str, float]:
    """What one replica asks of Ray, by its names: the file's `ray_actor_options`, else `graph.py`'s."""
    options = stage.get("ray_actor_options")
    if options is None and stage["name"] in SHARE_SETTINGS:
        options = network_resources(settings, stage["name"], cluster_has_gpus)
    options = options or {}
    wanted = {
        "CPU": float(options.get("num_cpus", 1)),
        "GPU": float(options.get("num_gpus", 0)),
        "memory": float(options.get("memory", 0)),
        **{kind: float(amount) for kind, amount in (options.get("resources") or {}).items()},
    }
    return {kind: amount for kind, amount in wanted.items() if amount}


def update_demands(config: Mapping[str, Any], demands: Sequence[Demand]) -> tuple[Demand, ...]:
    """The same with the replicas that a rolling update starts beside the old ones (`max_surge_percent`)."""
    surge = {
        stage["name"]: stage.get("max_surge_percent", 0) for stage in config["applications"][0]["deployments"]
    }
    return tuple(
        replace(one, replicas=one.replicas + math.ceil(one.replicas * surge[one.stage] / 100))
        for one in demands
    )


def place(demands: Sequence[Demand], nodes: Sequence[Node]) -> Placement:
    """Pack all replicas onto the nodes."""
    rooms = [
        _Room(
            f"{node.name}-{i + 1}" if node.count > 1 else node.name,
            {kind: amount for kind, amount in node.resources.items() if kind != "GPU"},
            (1.0,) * int(node.resources.get("GPU", 0)),
            {},
        )
        for node in nodes
        for i in range(node.count)
    ]
    by_size = sorted(
        demands, key=lambda one: (-one.resources.get("GPU", 0), -one.resources.get("CPU", 0), one.stage)
    )
    largest_first = [one for one in by_size for _ in range(one.replicas)]
    # One of each stage after the other: shares that were chosen to fill a card together then do.
    in_turn = [
        one
        for i in range(max((d.replicas for d in demands), default=0))
        for one in by_size
        if i < one.replicas
    ]
    for items in (in_turn, largest_first):
        search = _Search(items, list(rooms), most_steps=len(items))
        if search.place_from(0):
            return Placement(tuple(search.placed))
    search = _Search(largest_first, list(rooms), MOST_STEPS)
    if search.place_from(0):
        return Placement(tuple(search.placed))
    if search.undecided and not _too_much(demands, nodes):
        return Placement(())
    return Placement((), _refusal(largest_first[search.furthest], demands, nodes))


@dataclass(frozen=True, slots=True)
class _Room:
    """What is left on one node."""

    name: str
    left: Mapping[str, float]
    cards: tuple[float, ...]
    stages: Mapping[str, int]

    @property
    def kind(self) -> tuple[object, ...]:
        """The same for rooms between which no demand can tell."""
        return (*sorted(self.left.items()), *sorted(self.cards), *sorted(self.stages.items()))

    def cards_for(self, demand: Demand) -> tuple[int, ...] | None:
        """The cards to use, the fullest that have room; none if none is needed; None if there is no room."""
        if demand.most_per_node is not None and self.stages.get(demand.stage, 0) >= demand.most_per_node:
            return None
        if any(
            amount > self.left.get(kind, 0) + GRAIN
            for kind, amount in demand.resources.items()
            if kind != "GPU"
        ):
            return None
        share = demand.resources.get("GPU", 0)
        number = math.ceil(share)
        fitting = sorted((rest, i) for i, rest in enumerate(self.cards) if rest + GRAIN >= min(share, 1.0))
        return tuple(i for _, i in fitting[:number]) if len(fitting) >= number else None

    def after(self, demand: Demand, cards: tuple[int, ...]) -> _Room:
        """What is left when `demand` has taken its part of these cards, and of all else."""
        share = min(demand.resources.get("GPU", 0), 1.0)
        return _Room(
            self.name,
            {kind: round(rest - demand.resources.get(kind, 0), 6) for kind, rest in self.left.items()},
            tuple(round(rest - share, 6) if i in cards else rest for i, rest in enumerate(self.cards)),
            {**self.stages, demand.stage: self.stages.get(demand.stage, 0) + 1},
        )


class _Search:
    """First fit with second thoughts: tries every room that differs until all is placed or steps run out."""

    def __init__(self, items: Sequence[Demand], rooms: list[_Room], most_steps: int) -> None:
        self._items = items
        self._rooms = rooms
        self._steps_left = most_steps
        self.placed: list[Placed] = []
        self.furthest = 0  # the first item that never found room

    @property
    def undecided(self) -> bool:
        """Whether the steps have run out."""
        return self._steps_left <= 0

    def place_from(self, index: int) -> bool:
        """Place the items from `index` on; false when that cannot be, or was not found in time."""
        if index == len(self._items):
            return True
        self.furthest = max(self.furthest, index)
        item = self._items[index]
        tried: set[tuple[object, ...]] = set()
        for i, room in enumerate(self._rooms):
            if (cards := room.cards_for(item)) is None or room.kind in tried:
                continue
            if self.undecided:
                return False
            tried.add(room.kind)
            self._steps_left -= 1
            self._rooms[i] = room.after(item, cards)
            self.placed.append(Placed(item.stage, room.name, cards))
            if self.place_from(index + 1):
                return True
            self.placed.pop()
            self._rooms[i] = room
        return False


def _least_replicas(stage: Mapping[str, Any], settings: Settings) -> int:
    scaling = stage.get("autoscaling_config")
    if scaling is not None:
        return max(1, int(scaling.get("min_replicas", 1)))
    return int(stage.get("num_replicas") or (settings.workers if stage["name"] == "Ingress" else 1))


def _too_much(demands: Sequence[Demand], nodes: Sequence[Node]) -> bool:
    return any(
        sum(one.replicas * one.resources.get(kind, 0) for one in demands)
        > sum(node.count * node.resources.get(kind, 0) for node in nodes) + GRAIN
        for kind in {kind for one in demands for kind in one.resources}
    )


def _refusal(item: Demand, demands: Sequence[Demand], nodes: Sequence[Node]) -> str:
    kinds = sorted({kind for one in demands for kind in one.resources})
    has = {kind: sum(node.count * node.resources.get(kind, 0) for node in nodes) for kind in kinds}
    needs = {kind: sum(one.replicas * one.resources.get(kind, 0) for one in demands) for kind in kinds}
    there = "; ".join(
        f"{node.count} x {node.name}: {_words(node.resources, kinds) or 'nothing'}" for node in nodes
    )
    apart = f", at most {item.most_per_node} of them on a node" if item.most_per_node else ""
    return (
        f"{item.stage} does not fit: {item.replicas} x {_words(item.resources, kinds)} is asked for{apart}. "
        f"All stages together need {_words(needs, kinds)}; the nodes have {_words(has, kinds) or 'nothing'} "
        f"({there or 'no node'}). {_mend(item, has)}"
    )


def _mend(item: Demand, has: Mapping[str, float]) -> str:
    setting = SHARE_SETTINGS.get(item.stage, "").upper()
    if item.resources.get("GPU", 0) and not has.get("GPU", 0):
        return "There is no GPU: set DEVICE=cpu, or add nodes that have one"
    if item.resources.get("GPU", 0):
        least = "min_replicas or max_replicas_per_node of the stage in the serve config"
        return f"Lower {setting or 'its num_gpus'}, or change {least}, or add nodes with GPUs"
    what = "NETWORK_CPUS" if setting else "its ray_actor_options"
    return f"Lower {what}, or its replicas in the serve config, or add nodes"


def _words(amounts: Mapping[str, float], kinds: Sequence[str]) -> str:
    parts = [
        f"{amounts[kind] / UNITS.get(kind, 1.0):g} {'GB of memory' if kind == 'memory' else kind}"
        for kind in kinds
        if round(amounts.get(kind, 0), 4)
    ]
    return " and ".join(parts)
