"""Every query of dashboards, rules and alerts asks for what the running service and its Ray really export."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.dashboards import DASHBOARDS
from tests.deploy.promql import selected
from tests.service.pictures import DISC, finished
from trials.monitoring import queries
from trials.service import Service

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SCRAPED = {"job", "instance"}  # Prometheus adds these to every series
# Values that a query may ask for although no sample has them now.
MAY_BE_ABSENT = {("outcome", "error"), ("outcome", "given_up"), ("Name", "GPU")}
Series = dict[str, dict[str, set[str]]]


def read(text: str, found: Series) -> None:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found[sample.name]
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)


def ray_metrics(service: Service) -> str:
    """What Ray's agent exports on loopback."""
    for process in service.process.children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if not process.cmdline() or not process.cmdline()[0].startswith("ray::DashboardAgent"):
                continue
            for one in process.net_connections("tcp"):
                if one.status == psutil.CONN_LISTEN:
                    with suppress(httpx.HTTPError):
                        answer = httpx.get(f"http://127.0.0.1:{one.laddr.port}/metrics", timeout=5)
                        if "ray_node_cpu_utilization" in answer.text:
                            return answer.text
    return ""


def recorded() -> dict[str, str]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())["groups"]
    return {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}


@pytest.fixture(scope="module")
def exported(service: Service) -> Series:
    """Metrics with their labels and values, once all that the queries ask for has been reported."""
    with httpx.Client(base_url=service.url, timeout=60) as client:
        job_id = finished(client)["job_id"]
        asked = client.post("/preview", json={"job_id": job_id, "points": [list(DISC)], "labels": [1]})
        assert asked.status_code == 200, asked.text
    wanted = {one.name for _, query in queries() for one in selected(query)}
    wanted = {name for name in wanted if name.startswith(("ray_", "tapcut_"))}
    deadline = time.monotonic() + 75  # Ray tells its agent of new series every 30 s
    while True:
        found: Series = defaultdict(dict)
        read(httpx.get(f"{service.url}/metrics", timeout=30).text, found)
        read(ray_metrics(service), found)
        missing = wanted - set(found)
        if "/preview" not in found["ray_serve_http_request_latency_ms_bucket"].get("route", ()):
            missing.add("the route /preview")
        if not missing or time.monotonic() > deadline:
            assert not missing, f"nobody exports {sorted(missing)}"
            return found
        time.sleep(1)


def test_every_query_names_metrics_and_labels_that_are_exported(exported: Series) -> None:
    rules = recorded()
    asked = 0
    for where, query in queries():
        for one in selected(query):
            asked += 1
            if one.name == "up":
                continue
            if one.name.startswith("tapcut:"):
                inner = selected(rules[one.name])
                for label in one.labels:
                    assert any(label in part.labels for part in inner), f"{where}: {one.name} has no {label}"
                continue
            labels = exported[one.name]
            assert one.labels <= set(labels) | SCRAPED, f"{where}: {one.name} has {sorted(labels)}"
            for name, value in one.equal:
                assert (name, value) in MAY_BE_ABSENT or value in labels[name], f"{where}: {name}={value}"
    assert asked > 60


def test_a_query_for_what_nobody_exports_would_be_noticed(exported: Series) -> None:
    (misspelt,) = selected("sum by (stages) (rate(tapcut_stage_second_count[5m]))")
    assert misspelt.name not in exported
    (wrong_label,) = selected("sum by (stages) (rate(tapcut_stage_seconds_count[5m]))")
    assert not wrong_label.labels <= set(exported[wrong_label.name])


@pytest.mark.parametrize("name", list(DASHBOARDS))
def test_a_dashboard_is_what_its_generator_writes(name: str) -> None:
    written = json.loads((DEPLOY / "grafana" / "dashboards" / name).read_text())
    assert written == DASHBOARDS[name], "run python -m deploy.dashboards"


@pytest.mark.parametrize("name", list(DASHBOARDS))
def test_a_dashboards_panels_have_places_of_their_own(name: str) -> None:
    document = DASHBOARDS[name]
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "prometheus" and target["expr"]
    ids = [panel["id"] for panel in document["panels"]]
    assert len(ids) == len(set(ids))


def test_grafana_finds_dashboards_and_source_where_compose_puts_them() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    provisioning = DEPLOY / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "tapcut.yaml").read_text())["providers"]
    mounts = dict(one.split(":")[:2] for one in compose["grafana"]["volumes"])
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    port = next(one for one in compose["prometheus"]["command"] if "listen-address" in one).rpartition(":")[2]
    assert source["uid"] == "prometheus" and re.search(rf":{port}$", source["url"])
