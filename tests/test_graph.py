from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

import graph
from docs.draw_dag import draw
from settings import SettingsError

ROOT = Path(__file__).resolve().parents[1]


def deployments_of(config: str) -> list[str]:
    schema = ServeDeploySchema.model_validate(yaml.safe_load((ROOT / config).read_text()))
    return [deployment.name for deployment in schema.applications[0].deployments]


@pytest.mark.parametrize("config", ["serve_config.yaml", "serve_config.local.yaml"])
def test_serve_config_is_valid_and_sets_every_stage(config: str) -> None:
    stages = {
        name
        for name in vars(graph)
        if hasattr(vars(graph)[name], "bind") and hasattr(vars(graph)[name], "options")
    }
    assert set(deployments_of(config)) == stages


def test_picture_of_the_dag_is_up_to_date() -> None:
    assert (ROOT / "docs" / "dag.svg").read_text() == draw()


def test_application_needs_a_redis() -> None:
    with pytest.raises(SettingsError, match="REDIS_URL"):
        graph.build_app({"REDIS_URL": ""})


def test_misspelt_argument_fails_the_start_by_name() -> None:
    with pytest.raises(SettingsError, match=r"MAX_OBJECT\b.*MAX_OBJECTS"):
        graph.build_app({"REDIS_URL": "redis://127.0.0.1:1/0", "MAX_OBJECT": 3})
