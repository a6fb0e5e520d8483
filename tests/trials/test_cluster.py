"""What the trials on several nodes decide without a cluster."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from trials.chaos_cluster import spread_problems
from trials.production import deployments_of, production_config, small_variant
from trials.upgrade import copied_project, with_args, with_batches, with_code


def two_each(config: dict[str, object]) -> Counter[tuple[str, str]]:
    return Counter(
        {(stage, node): 1 for stage in deployments_of(config) for node in ("127.0.0.3", "127.0.0.4")}
    )


def test_spread_that_the_config_asks_for_is_no_problem() -> None:
    config = production_config()
    assert spread_problems(config, two_each(config)) == []


def test_stage_on_one_node_alone_is_named() -> None:
    config = production_config()
    placed = two_each(config)
    placed["MaskRefiner", "127.0.0.3"], placed["MaskRefiner", "127.0.0.4"] = 2, 0
    assert spread_problems(config, placed) == ["MaskRefiner: all 2 replicas on one node"]
    assert spread_problems(config, placed, after_a_loss=True) == []  # Ray moves nothing back


def test_node_with_more_than_its_share_is_named() -> None:
    config = production_config()
    placed = two_each(config)
    placed["ImageEncoder", "127.0.0.3"] = 2
    assert spread_problems(config, placed) == ["ImageEncoder: 2 replicas on one node, at most 1 may be"]


def test_versions_of_the_upgrade_differ_in_what_they_say_alone() -> None:
    config = small_variant(production_config(), 8001, {"WORK_DIR": "/jobs"})
    other = with_args(config, MAX_OBJECTS=7)
    assert other["applications"][0]["args"].pop("MAX_OBJECTS") == 7 and other == config
    batches = with_batches(config, 4)
    assert deployments_of(batches)["PromptDecoder"]["user_config"]["max_batch_size"] == 4
    assert deployments_of(batches)["ImageEncoder"] == deployments_of(config)["ImageEncoder"]
    code = with_code(config, Path("/b"))
    assert code["applications"][0]["runtime_env"] == {"env_vars": {"PYTHONPATH": "/b"}}
    assert "runtime_env" not in config["applications"][0]


def test_copied_project_is_a_whole_one_of_another_version(tmp_path: Path) -> None:
    folder = copied_project(tmp_path / "b", "9.9.9")
    code = (
        "import settings, deployments.http.api as api, engine.types\n"
        "print(api.VERSION, settings.__file__, engine.types.__file__)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    version, *files = done.stdout.split()
    assert version == "9.9.9"
    assert all(file.startswith(str(folder)) for file in files)
