from __future__ import annotations

from pathlib import Path

import yaml
from ray.serve.schema import ServeDeploySchema

from load_tests.configuration import LOCAL, SCALING, write_config
from settings import Settings


def test_config_is_one_that_serve_takes_and_differs_from_the_local_one_in_replicas_only(
    tmp_path: Path,
) -> None:
    replicas = write_config(tmp_path / "config.yaml")
    config, local = yaml.safe_load((tmp_path / "config.yaml").read_text()), yaml.safe_load(LOCAL.read_text())
    config["applications"][0]["args"] = Settings().as_args()
    (application,) = ServeDeploySchema.model_validate(config).applications
    assert {one.name for one in application.deployments} == set(replicas)
    scaled = set()
    for one, before in zip(
        config["applications"][0]["deployments"], local["applications"][0]["deployments"], strict=True
    ):
        for name in ("name", "health_check_period_s", "graceful_shutdown_timeout_s", "max_queued_requests"):
            assert one.get(name) == before.get(name)
        scaling = one.get("autoscaling_config")
        if scaling is not None:
            scaled.add(one["name"])
            assert scaling["target_ongoing_requests"] <= one["max_ongoing_requests"]
            assert (scaling["min_replicas"], scaling["max_replicas"]) == replicas[one["name"]]
    assert scaled == set(SCALING)
