"""The application with bodies that do nothing: which stages there are and what they ask of Ray is real.

Owns the body that stands in for all of them. Each replica writes where it landed and what it sees into
`WORK_DIR/replicas`.
"""

from __future__ import annotations

import json
import os
from typing import Any

import ray
from ray import serve

from deployments.gpu_share import keep_to_share
from settings import Settings


class StandIn:
    """Takes what any stage takes, begins as every stage begins, and answers with its name."""

    def __init__(self, settings: Settings, *bound: object, **more_bound: object) -> None:
        del bound, more_bound
        before = os.environ.get("CUDA_VISIBLE_DEVICES")
        keep_to_share(settings)
        context, replica = ray.get_runtime_context(), serve.get_replica_context()
        landed = {
            "stage": replica.deployment,
            "node": context.get_node_id(),
            "cards": context.get_accelerator_ids().get("GPU", []),
            "share": context.get_assigned_resources().get("GPU", 0),
            "visible_before": before,
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        }
        folder = settings.work_dir / "replicas"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{replica.replica_id.unique_id}.json").write_text(json.dumps(landed))

    def reconfigure(self, user_config: Any) -> None:
        """Every stage takes one, or none."""

    async def describe(self) -> str:
        """Which stage this is."""
        return str(serve.get_replica_context().deployment)


def build_app(args: dict[str, Any]) -> Any:
    """`graph.build_app`, with a stand-in for the body of each stage."""
    import graph

    for name, stage in list(vars(graph).items()):
        if hasattr(stage, "bind") and hasattr(stage, "options"):
            setattr(graph, name, stage.options(func_or_class=StandIn))
    return graph.build_app(args)
