"""What the production config promises about nodes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml
from ray.serve.schema import ServeDeploySchema

from launch.ray_environment import node_environment
from settings import Settings
from trials.production import deployments_of, production_config, small_variant
from trials.service import ROOT

# Without these nobody is served and no job moves; what restarts elsewhere in seconds is left to Ray's spread.
OUTLIVES_A_NODE = ("Ingress", "ImageEncoder", "PromptDecoder", "JobRunner", "WebhookSender")


def least_replicas(stage: dict[str, object]) -> int:
    scaling = stage.get("autoscaling_config")
    return int(str(scaling["min_replicas"] if isinstance(scaling, dict) else stage["num_replicas"]))


def test_no_node_can_hold_all_replicas_of_a_stage_that_everything_waits_for() -> None:
    stages = deployments_of(production_config())
    assert [name for name in OUTLIVES_A_NODE if not stages[name].get("max_replicas_per_node")] == []
    for name, stage in stages.items():
        if "max_replicas_per_node" in stage:
            assert least_replicas(stage) > stage["max_replicas_per_node"], name


def test_small_variant_is_the_production_config_but_for_its_size() -> None:
    production = production_config()
    small = small_variant(production, 8001, {"WORK_DIR": "/somewhere", "LEASE_S": 3})
    schema = ServeDeploySchema.model_validate(small)
    assert schema.http_options.port == 8001
    args = schema.applications[0].args
    assert args["DEVICE"] == "cpu" and args["WORK_DIR"] == "/somewhere" and "REDIS_URL" not in args
    assert args["INPAINT_SIZES"] == production["applications"][0]["args"]["INPAINT_SIZES"]
    before = deployments_of(production)
    for name, stage in deployments_of(small).items():
        assert "num_gpus" not in stage["ray_actor_options"], name
        kept = ("user_config", "max_ongoing_requests", "max_replicas_per_node", "graceful_shutdown_timeout_s")
        assert {key: stage.get(key) for key in kept} == {key: before[name].get(key) for key in kept}
        assert 1 <= least_replicas(stage) <= 3, name


def test_printed_environment_of_a_node_is_what_a_shell_takes_and_has_no_secret(tmp_path: Path) -> None:
    config = tmp_path / "serve_config.yaml"
    config.write_text(yaml.safe_dump({"applications": [{"args": {"MAX_UPLOAD_MB": 7}}]}))
    script = (
        f'eval "$({sys.executable} -m launch.node {config})" && '
        'echo "$MAX_UPLOAD_MB $RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH $RAY_health_check_period_ms"'
    )
    environment = {"PATH": "/usr/bin:/bin", "REDIS_URL": "redis://:hidden@127.0.0.1/0"}
    command = ["bash", "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["7.0", "deployments.http.edge.edge_of_proxy", "1000"]
    assert "hidden" not in str(node_environment(Settings(_env_file=None), environment))  # type: ignore[call-arg]


def test_what_a_node_has_set_itself_is_kept() -> None:
    given = {"RAY_health_check_period_ms": "250", "PYTHONPATH": "/elsewhere"}
    wanted = node_environment(Settings(_env_file=None), given)  # type: ignore[call-arg]
    assert wanted["RAY_health_check_period_ms"] == "250"
    assert wanted["PYTHONPATH"].endswith(":/elsewhere") and str(ROOT) in wanted["PYTHONPATH"]
