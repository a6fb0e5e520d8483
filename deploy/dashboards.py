"""Writes the two Grafana dashboards: `python -m deploy.dashboards`.

Owns which questions they answer and in what order; Grafana's JSON is made from that, so that rows, units and
sizes agree. Queries use the recording rules of deploy/prometheus/rules.yaml.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "grafana" / "dashboards"
WIDTH, HEIGHT = 24, 8
SOURCE = {"type": "prometheus", "uid": "prometheus"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One question. `queries`: PromQL and how each of its lines is called."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    text: str = ""
    kind: str = "timeseries"
    bad_above: float | None = None
    bad_below: float | None = None


def quantiles(metric: str, by: str = "", matchers: str = "") -> tuple[tuple[str, str], ...]:
    """p50, p95 and p99 of a histogram over five minutes."""
    labels = f"le, {by}" if by else "le"
    name = f" {{{{{by}}}}}" if by else ""
    return tuple(
        (f"histogram_quantile(0.{q}, sum by ({labels}) (rate({metric}_bucket{matchers}[5m])))", f"p{q}{name}")
        for q in (50, 95, 99)
    )


def p95(metric: str, by: str, matchers: str = "") -> tuple[tuple[str, str], ...]:
    """p95 of a histogram over five minutes, by one label."""
    return quantiles(metric, by, matchers)[1:2]


ROUTES = '{application="tapcut", route=~"/(upload|segment|preview|status.*|download.*)"}'
OPERATIONS: dict[str, list[Panel]] = {
    "Is it well?": [
        Panel("Answers its monitoring", (('min(up{job="tapcut"})', "service"),), kind="stat", bad_below=1),
        Panel("Redis takes writes", (("min(tapcut_redis_up)", "Redis"),), kind="stat", bad_below=1),
        Panel(
            "Healthy runners",
            (('sum(tapcut:healthy_replicas:sum{deployment="JobRunner"})', "runners"),),
            kind="stat",
            bad_below=1,
        ),
        Panel("Waiting", (("max(tapcut_queue_depth)", "jobs"),), kind="stat"),
        Panel("Longest wait", (("max(tapcut_queue_oldest_seconds)", "s"),), "s", kind="stat", bad_above=60),
        Panel(
            "Room for artifacts",
            (("min(tapcut_artifacts_free_bytes)", "free"),),
            "bytes",
            kind="stat",
            bad_below=2e9,
        ),
    ],
    "Work": [
        Panel("Jobs ended a second", (("tapcut:runs:rate5m", "{{outcome}}"),), "ops"),
        Panel(
            "Queue",
            (("max(tapcut_queue_depth)", "waiting"), ("max(tapcut_jobs_running)", "running")),
            text="Waiting grows while running stands still: runners are the limit. Both grow: a stage is.",
        ),
        Panel("Jobs known to the store", (("max by (state) (tapcut_jobs)", "{{state}}"),)),
        Panel(
            "Interrupted attempts and dead letters, 15 minutes",
            (
                ("max(increase(tapcut_job_retries_total[15m]))", "attempts begun again"),
                ("max(increase(tapcut_dead_letters_total[15m]))", "dead letters"),
            ),
        ),
    ],
    "Requests": [
        Panel(
            "By call", (("sum by (method, route) (tapcut:requests:rate5m)", "{{method}} {{route}}"),), "reqps"
        ),
        Panel(
            "By status",
            (("sum by (status_code) (tapcut:requests:rate5m)", "{{status_code}}"),),
            "reqps",
            "503 and 429 are refusals: nothing was accepted. Other 5xx are faults.",
        ),
        Panel(
            "Open at the proxies",
            (("sum(ray_serve_num_ongoing_http_requests)", "requests"),),
            text="Event streams keep a request open while their job runs.",
        ),
    ],
    "Stages": [
        Panel("Replicas wanted", (("tapcut:wanted_replicas:max", "{{deployment}}"),)),
        Panel("Replicas healthy", (("tapcut:healthy_replicas:sum", "{{deployment}}"),)),
        Panel(
            "Calls in work",
            (
                (
                    'sum by (deployment) (ray_serve_replica_processing_queries{application="tapcut"})',
                    "{{deployment}}",
                ),
            ),
        ),
        Panel(
            "Calls waiting for a replica",
            (
                (
                    'sum by (deployment) (ray_serve_deployment_queued_queries{application="tapcut"})',
                    "{{deployment}}",
                ),
            ),
        ),
        Panel(
            "Use of replicas",
            (
                (
                    "avg by (deployment)"
                    ' (avg_over_time(ray_serve_replica_utilization_percent{application="tapcut"}[1m]))',
                    "{{deployment}}",
                ),
            ),
            "percent",
            "Share of a replica's places for calls that are taken; a stage near 100 is the one to scale.",
        ),
        Panel(
            "Calls that share a batch, mean",
            (
                (
                    "sum by (stage) (rate(tapcut_stage_batch_size_sum[5m]))"
                    " / sum by (stage) (rate(tapcut_stage_batch_size_count[5m]))",
                    "{{stage}}",
                ),
            ),
        ),
    ],
    "Nodes": [
        Panel("Processor", (("ray_node_cpu_utilization", "{{ip}}"),), "percent"),
        Panel("Memory", (("ray_node_mem_used / ray_node_mem_total", "{{ip}}"),), "percentunit"),
        Panel(
            "Memory of each stage",
            (('sum by (Component) (ray_component_uss_bytes{Component=~"ray::Serve.*"})', "{{Component}}"),),
            "bytes",
        ),
        Panel("Disk free", (("ray_node_disk_free", "{{ip}}"),), "bytes"),
        Panel(
            "Object store",
            (("sum by (NodeAddress) (ray_object_store_used_memory)", "{{NodeAddress}}"),),
            "bytes",
        ),
        Panel(
            "CPUs and GPUs given to replicas",
            (
                (
                    'sum by (Name) (ray_resources{Name=~"CPU|GPU", State="USED"})',
                    "{{Name}}",
                ),
            ),
        ),
    ],
    "Webhooks": [
        Panel("Not settled", (("max(tapcut_webhooks_waiting)", "webhooks"),)),
        Panel(
            "Settled a second",
            (("max by (outcome) (rate(tapcut_webhooks_total[5m]))", "{{outcome}}"),),
            "ops",
        ),
        Panel("Failed tries a second", (("max(rate(tapcut_webhook_retries_total[5m]))", "tries"),), "ops"),
    ],
}
LATENCY: dict[str, list[Panel]] = {
    "From tap to files": [
        Panel(
            "One object",
            quantiles("tapcut_run_seconds", matchers='{outcome="ready", objects="1"}'),
            "s",
            "From the accepted /segment to the last file, waiting included.",
        ),
        Panel("p95 by number of objects", (("tapcut:run_seconds:p95_5m", "{{objects}}"),), "s"),
        Panel("p50 by number of objects", (("tapcut:run_seconds:p50_5m", "{{objects}}"),), "s"),
        Panel(
            "Within 5 s",
            (
                (
                    "sum(rate(tapcut_run_seconds_bucket"
                    '{outcome="ready", le=~"5|5[.]0"}[5m]))'
                    ' / sum(rate(tapcut_run_seconds_count{outcome="ready"}[5m]))',
                    "share",
                ),
            ),
            "percentunit",
        ),
    ],
    "Where it goes": [
        Panel("Waiting for a runner", quantiles("tapcut_wait_seconds"), "s"),
        Panel(
            "p95 of each stage",
            p95("tapcut_stage_seconds", "stage"),
            "s",
            "With its own waiting for a batch.",
        ),
        Panel(
            "Mean seconds of a job in each stage",
            (
                (
                    "sum by (stage) (rate(tapcut_stage_seconds_sum[5m]))"
                    " / scalar(sum(rate(tapcut_jobs_ended_total[5m])))",
                    "{{stage}}",
                ),
            ),
            "s",
        ),
        Panel(
            "p95 of the deployments' calls",
            p95("ray_serve_deployment_processing_latency_ms", "deployment", '{application="tapcut"}'),
            "ms",
        ),
    ],
    "What answers at once": [
        Panel(
            "Uploads",
            quantiles(
                "ray_serve_http_request_latency_ms", matchers='{application="tapcut", route="/upload"}'
            ),
            "ms",
            "From the first byte of the request to the last of the answer.",
        ),
        Panel(
            "Previews",
            quantiles(
                "ray_serve_http_request_latency_ms", matchers='{application="tapcut", route="/preview"}'
            ),
            "ms",
        ),
        Panel("p95 by call", p95("ray_serve_http_request_latency_ms", "route", ROUTES), "ms"),
    ],
    "What users are refused": [
        Panel(
            "Share of refusals",
            (
                (
                    '(sum(tapcut:requests:rate5m{status_code=~"429|503"}) or vector(0))'
                    " / sum(tapcut:requests:rate5m)",
                    "429 and 503",
                ),
            ),
            "percentunit",
        ),
        Panel(
            "Share of jobs that end as error",
            (('sum(tapcut:runs:rate5m{outcome="error"}) / sum(tapcut:runs:rate5m)', "error"),),
            "percentunit",
        ),
        Panel(
            "Requests refused for what they hold",
            (
                (
                    "sum by (route, status_code)"
                    ' (tapcut:requests:rate5m{status_code=~"4..", status_code!~"429|499"})',
                    "{{status_code}} {{route}}",
                ),
            ),
            "reqps",
        ),
    ],
}


def dashboard(uid: str, title: str, rows: dict[str, list[Panel]]) -> dict[str, Any]:
    """Grafana's document of one dashboard; ids count up from 1."""
    panels: list[dict[str, Any]] = []
    y = 0
    for name, questions in rows.items():
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": name,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
            }
        )
        y += 1
        stats = all(one.kind == "stat" for one in questions)
        across, height = (len(questions), 4) if stats else (min(3, len(questions)), HEIGHT)
        width = WIDTH // across
        for i, one in enumerate(questions):
            place = {"x": i % across * width, "y": y + i // across * height, "w": width, "h": height}
            panels.append(_panel(one, len(panels) + 1, place))
        y += -(-len(questions) // across) * height
    return {
        "uid": uid,
        "title": title,
        "tags": ["tapcut"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "utc",
        "templating": {"list": []},
        "annotations": {"list": []},
        "links": [{"type": "dashboards", "tags": ["tapcut"], "title": "tapcut", "asDropdown": False}],
        "panels": panels,
    }


def _panel(one: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if one.bad_above is not None:
        steps.append({"color": "red", "value": one.bad_above})
    if one.bad_below is not None:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": one.bad_below}]
    defaults: dict[str, Any] = {
        "unit": one.unit,
        "min": 0,
        "color": {"mode": "thresholds" if one.kind == "stat" else "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    options: dict[str, Any] = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    if one.kind == "stat":
        options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    return {
        "id": number,
        "type": one.kind,
        "title": one.title,
        "description": one.text,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": query, "legendFormat": name}
            for i, (query, name) in enumerate(one.queries)
        ],
    }


DASHBOARDS = {
    "operations.json": dashboard("tapcut-operations", "tapcut: operations", OPERATIONS),
    "latency.json": dashboard("tapcut-latency", "tapcut: what users wait for", LATENCY),
}

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, document in DASHBOARDS.items():
        (FOLDER / name).write_text(json.dumps(document, indent=1) + "\n")
