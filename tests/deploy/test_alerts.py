"""Alerts, by promtool: each fires for its own trouble, and none fires while all is well."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = [DEPLOY / "prometheus" / name for name in ("rules.yaml", "alerts.yaml")]
PROMTOOL = shutil.which("promtool")
SAMPLES = 84  # of 15 s: 21 minutes

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed: apt-get install prometheus"
)

SERVE = 'application="tapcut"'
REQUESTS = f'ray_serve_num_http_requests_total{{{SERVE},route="/upload",method="POST",status_code='
# Each series as first value and growth a sample.
WELL: dict[str, tuple[float, float]] = {
    'up{job="tapcut"}': (1, 0),
    "tapcut_redis_up": (1, 0),
    "tapcut_queue_depth": (2, 0),
    "tapcut_queue_oldest_seconds": (2, 0),
    'tapcut_jobs_ended_total{outcome="ready"}': (0, 15),
    'tapcut_jobs_ended_total{outcome="error"}': (0, 0.1),
    'tapcut_run_seconds_bucket{outcome="ready",objects="1",le="1"}': (0, 10),
    'tapcut_run_seconds_bucket{outcome="ready",objects="1",le="2.5"}': (0, 15),
    'tapcut_run_seconds_bucket{outcome="ready",objects="1",le="30"}': (0, 15),
    'tapcut_run_seconds_bucket{outcome="ready",objects="1",le="+Inf"}': (0, 15),
    "tapcut_dead_letters_total": (3, 0),
    "tapcut_job_retries_total": (3, 0.05),
    "tapcut_artifacts_free_bytes": (1e11, 0),
    'tapcut_webhooks_total{outcome="given_up"}': (3, 0),
    REQUESTS + '"200"}': (0, 150),
    REQUESTS + '"503"}': (0, 1),
    REQUESTS + '"500"}': (0, 0.1),
    'ray_node_mem_used{ip="10.0.0.1"}': (50, 0),
    'ray_node_mem_total{ip="10.0.0.1"}': (100, 0),
}
for _stage in ("JobRunner", "ImageEncoder"):
    _labels = f'{SERVE},deployment="{_stage}"'
    WELL[f'ray_serve_deployment_replica_healthy{{{_labels},replica="a"}}'] = (1, 0)
    WELL[f"ray_serve_autoscaling_target_replicas{{{_labels}}}"] = (1, 0)
    WELL[f'ray_serve_deployment_replica_starts_total{{{_labels},replica="a"}}'] = (1, 0)
# A stage that was scaled down to nothing is no trouble.
WELL[f'ray_serve_autoscaling_target_replicas{{{SERVE},deployment="LamaInpainter"}}'] = (0, 0)

RUNNER_HEALTHY = f'ray_serve_deployment_replica_healthy{{{SERVE},deployment="JobRunner",replica="a"}}'
ENCODER = f'{SERVE},deployment="ImageEncoder"'
RUN_BUCKET = 'tapcut_run_seconds_bucket{outcome="ready",objects="1",le='
# What is otherwise in each trouble; None: the series is not there. And the alerts that come along with it.
TROUBLE: dict[str, tuple[dict[str, tuple[float, float] | None], set[str]]] = {
    "TapcutDown": ({'up{job="tapcut"}': None}, set()),
    "TapcutRedisAway": ({"tapcut_redis_up": (0, 0)}, set()),
    "TapcutQueueStuck": (
        {
            'tapcut_jobs_ended_total{outcome="ready"}': (7, 0),
            'tapcut_jobs_ended_total{outcome="error"}': (7, 0),
        },
        set(),
    ),
    "TapcutNoRunner": ({RUNNER_HEALTHY: (0, 0)}, {"TapcutReplicasMissing"}),
    "TapcutServerErrors": ({REQUESTS + '"500"}': (0, 3)}, set()),
    "TapcutJobsFail": ({'tapcut_jobs_ended_total{outcome="error"}': (0, 2)}, set()),
    "TapcutSlow": ({RUN_BUCKET + '"1"}': (0, 5), RUN_BUCKET + '"2.5"}': (0, 5)}, set()),
    "TapcutQueueOld": ({"tapcut_queue_oldest_seconds": (90, 0)}, set()),
    "TapcutRefuses": ({REQUESTS + '"503"}': (0, 15)}, set()),
    "TapcutDeadLetter": ({"tapcut_dead_letters_total": (0, 0.02)}, set()),
    "TapcutRunnersDie": ({"tapcut_job_retries_total": (0, 0.2)}, set()),
    "TapcutReplicasRestart": (
        {
            f'ray_serve_deployment_replica_starts_total{{{ENCODER},replica="{name}"}}': (1, 0)
            for name in "bcdefg"
        },
        set(),
    ),
    "TapcutReplicasMissing": ({f"ray_serve_autoscaling_target_replicas{{{ENCODER}}}": (3, 0)}, set()),
    "TapcutRoomLow": ({"tapcut_artifacts_free_bytes": (1e9, 0)}, set()),
    "TapcutMemoryLow": ({'ray_node_mem_used{ip="10.0.0.1"}': (95, 0)}, set()),
    "TapcutWebhooksGivenUp": ({'tapcut_webhooks_total{outcome="given_up"}': (0, 0.02)}, set()),
}


def alert_rules() -> list[dict[str, object]]:
    groups = yaml.safe_load(RULES[1].read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def scene(changes: dict[str, tuple[float, float] | None], fires: set[str]) -> dict[str, object]:
    """A test of promtool: with these series, exactly these alerts fire after twenty minutes."""
    series = {name: values for name, values in {**WELL, **changes}.items() if values is not None}
    return {
        "interval": "15s",
        "input_series": [
            {"series": name, "values": f"{first:g}+{growth:g}x{SAMPLES}"}
            for name, (first, growth) in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "20m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(fires)],
            }
        ],
    }


def promtool(*arguments: object) -> str:
    done = subprocess.run(
        [str(PROMTOOL), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_promtool_finds_no_fault_with_rules_and_configuration(tmp_path: Path) -> None:
    promtool("check", "rules", *RULES)
    text = (DEPLOY / "prometheus" / "prometheus.yaml").read_text()
    for rules in RULES:
        (tmp_path / rules.name).write_text(rules.read_text())
    # The key is the host's, not the project's.
    (tmp_path / "key").write_text("key")
    (tmp_path / "prometheus.yaml").write_text(text.replace("/run/secrets/metrics_key", str(tmp_path / "key")))
    promtool("check", "config", tmp_path / "prometheus.yaml")


@needs_promtool
def test_each_alert_fires_for_its_trouble_and_all_are_silent_when_all_is_well(tmp_path: Path) -> None:
    assert {rule["alert"] for rule in alert_rules()} == set(TROUBLE)
    tests = [scene({}, set())]
    tests += [scene(changes, {name, *others}) for name, (changes, others) in TROUBLE.items()]
    document = {"rule_files": list(map(str, RULES)), "evaluation_interval": "15s", "tests": tests}
    path = tmp_path / "alerts.yaml"
    path.write_text(yaml.safe_dump(document))
    promtool("test", "rules", path)


@needs_promtool
def test_an_alert_that_should_fire_and_does_not_is_noticed(tmp_path: Path) -> None:
    document = {"rule_files": list(map(str, RULES)), "tests": [scene({}, {"TapcutSlow"})]}
    path = tmp_path / "alerts.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(AssertionError):
        promtool("test", "rules", path)


def test_each_alert_has_a_paragraph_in_the_runbook() -> None:
    page = (DEPLOY.parent / "docs" / "operations.md").read_text()
    anchors = {
        re.sub(r"[^a-z0-9-]", "", line[4:].lower()) for line in page.splitlines() if line[:4] == "### "
    }
    for rule in alert_rules():
        runbook = rule["annotations"]["runbook"]  # type: ignore[index]
        assert runbook == f"docs/operations.md#{str(rule['alert']).lower()}"
        assert str(rule["alert"]).lower() in anchors, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")  # type: ignore[index]
