"""The Kubernetes manifests, the compose files and every serve config: parsed, and held to each other."""

from __future__ import annotations

import io
import math
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from deploy.render import Options, main, manifests, serve_config, workers
from launch.configuration import ROOT, read_config
from launch.placement import resources_of
from launch.ray_environment import EDGE_SETTINGS, EVERYWHERE
from settings import Settings, read_settings

DEPLOY = ROOT / "deploy"
KUBERNETES = "1.33"
OPERATORS = ("ray.io/v1", "monitoring.coreos.com/v1", "monitoring.coreos.com/v1alpha1")
VARIANTS = {
    "GPUs and a shared volume": Options("tapcut:1", monitoring=True),
    "processors only": Options("tapcut:1", device="cpu"),
    "S3": Options("tapcut:1", store_url="s3://pictures/tapcut"),
    "a Redis of one's own": Options("tapcut:1", namespace="pictures", redis="redis.example:6379"),
}


@pytest.fixture(params=VARIANTS, scope="module")
def rendered(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return manifests(VARIANTS[request.param])


def of_kind(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in documents if one["kind"] == kind]


def groups_of(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    cluster = of_kind(documents, "RayService")[0]["spec"]["rayClusterConfig"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


@pytest.mark.parametrize("path", sorted(ROOT.glob("serve_config*.yaml")), ids=lambda path: path.name)
def test_each_serve_config_is_one_that_ray_takes(path: Path) -> None:
    config = read_config(path)
    ServeDeploySchema.model_validate(config)
    names = [one["name"] for one in config["applications"][0]["deployments"]]
    source = (ROOT / "graph.py").read_text()
    assert set(names) == set(re.findall(r"^from deployments\.\w+ import ([A-Z]\w+)$", source, re.M)) - {
        "Stages"
    }
    read_settings(config["applications"][0]["args"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_kubernetes_takes_each_document(rendered: list[dict[str, Any]]) -> None:
    for document in rendered:
        if document["apiVersion"] not in OPERATORS:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
    for group in groups_of(rendered):
        template = group["template"]
        pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]}
        kubernetes_validate.validate({**pod, "metadata": {"name": "x", **template["metadata"]}}, KUBERNETES)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_misspelt_field_is_noticed(rendered: list[dict[str, Any]]) -> None:
    (policy, *_) = of_kind(rendered, "NetworkPolicy")
    wrong = {**policy, "spec": {**policy["spec"], "ingres": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_the_rayservice_serves_what_serve_config_says(rendered: list[dict[str, Any]]) -> None:
    (service,) = of_kind(rendered, "RayService")
    served = yaml.safe_load(service["spec"]["serveConfigV2"])
    ServeDeploySchema.model_validate(served)
    original = read_config(ROOT / "serve_config.yaml")
    for name in ("proxy_location", "http_options", "logging_config"):
        assert served[name] == original[name]
    ours, theirs = served["applications"][0], original["applications"][0]
    assert ours["deployments"] == theirs["deployments"]
    # A password would end in Ray's log.
    assert "REDIS_URL" not in ours["args"] and "redis://" not in service["spec"]["serveConfigV2"]


def asked(application: dict[str, Any], stage: dict[str, Any]) -> dict[str, float]:
    return resources_of(stage, read_settings(application["args"]), cluster_has_gpus=True)


def test_processors_alone_need_no_gpu() -> None:
    documents = manifests(VARIANTS["processors only"])
    assert "nvidia" not in yaml.safe_dump(documents)
    served = serve_config(VARIANTS["processors only"])["applications"][0]
    assert served["args"]["DEVICE"] == "cpu"
    assert not any("GPU" in asked(served, one) for one in served["deployments"])


def test_with_s3_there_is_no_shared_volume() -> None:
    documents = manifests(VARIANTS["S3"])
    assert not of_kind(documents, "PersistentVolumeClaim")
    assert "tapcut-jobs" not in yaml.safe_dump(documents)
    assert serve_config(VARIANTS["S3"])["applications"][0]["args"]["STORE_URL"] == "s3://pictures/tapcut"


def test_every_ray_pod_has_the_edge_its_limits_and_its_secrets(rendered: list[dict[str, Any]]) -> None:
    for group in groups_of(rendered):
        (container,) = group["template"]["spec"]["containers"]
        names = [one["name"] for one in container["env"]]
        assert {*EVERYWHERE, *EDGE_SETTINGS, "PYTHONPATH", "REDIS_URL"} <= set(names)
        assert len(names) == len(set(names))
        url = next(one for one in container["env"] if one["name"] == "REDIS_URL")
        assert url["valueFrom"]["secretKeyRef"] == {"name": "tapcut-redis", "key": "url"}


def test_ray_asks_for_its_token_and_keeps_its_books_in_redis(rendered: list[dict[str, Any]]) -> None:
    cluster = of_kind(rendered, "RayService")[0]["spec"]["rayClusterConfig"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "tapcut-ray-token"}
    redis = cluster["gcsFaultToleranceOptions"]
    assert redis["redisAddress"] in ("tapcut-redis:6379", "redis.example:6379")
    assert "externalStorageNamespace" not in redis
    assert (
        cluster["enableInTreeAutoscaling"] and cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    )


def test_the_least_workers_hold_the_least_replicas_and_their_spread() -> None:
    for options in VARIANTS.values():
        config = serve_config(options)
        application = config["applications"][0]
        stages = application["deployments"]
        head, *groups = groups_of(manifests(options))
        assert head["rayStartParams"]["num-cpus"] == "0"

        def replicas(stage: dict[str, Any], which: str) -> int:
            scaling = stage.get("autoscaling_config", {})
            return int(scaling.get(which, stage.get("num_replicas", 1)))

        for which, count in (("min_replicas", "minReplicas"), ("max_replicas", "maxReplicas")):
            cpus = sum(
                group[count] * int(group["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
                for group in groups
            )
            needed = sum(replicas(one, which) * asked(application, one)["CPU"] for one in stages)
            assert needed <= cpus, f"{which}: {needed} CPUs on {cpus}"
            gpus = sum(group[count] for group in groups if group["groupName"] == "gpu")
            share = sum(replicas(one, which) * asked(application, one).get("GPU", 0) for one in stages)
            assert share <= gpus + 1e-9
        for stage in stages:
            if limit := stage.get("max_replicas_per_node"):
                nodes = sum(
                    group["minReplicas"]
                    for group in groups
                    if "GPU" not in asked(application, stage) or group["groupName"] == "gpu"
                )
                assert math.ceil(replicas(stage, "min_replicas") / limit) <= nodes, stage["name"]


def test_workers_are_counted_by_shares_and_by_spread() -> None:
    stage = {
        "ray_actor_options": {"num_cpus": 3},
        "autoscaling_config": {"min_replicas": 3, "max_replicas": 9},
    }
    config = {"applications": [{"deployments": [stage]}]}
    assert workers(config, "CPU", 8, spread=True) == (2, 4)
    stage["max_replicas_per_node"] = 1  # type: ignore[assignment]
    assert workers(config, "CPU", 8, spread=True) == (3, 4)


def test_pods_run_as_nobody_with_nothing_to_gain(rendered: list[dict[str, Any]]) -> None:
    specs = [group["template"]["spec"] for group in groups_of(rendered)]
    for kind in ("Deployment", "StatefulSet"):
        specs += [one["spec"]["template"]["spec"] for one in of_kind(rendered, kind)]
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
        for container in spec["containers"]:
            inside = container["securityContext"]
            assert inside["readOnlyRootFilesystem"] and not inside["allowPrivilegeEscalation"]
            assert inside["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"]["memory"] and container["resources"]["limits"]["memory"]
            mounted = {one["name"] for one in container["volumeMounts"]}
            claimed = {one["name"] for one in spec.get("volumes", [])} | {"data"}
            assert mounted <= claimed


def test_only_the_edge_is_open_and_redis_is_for_rays_pods(rendered: list[dict[str, Any]]) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(rendered, "NetworkPolicy")}
    assert policies["tapcut-edge"]["ingress"] == [{"ports": [{"port": 8080}]}]
    for name in set(policies) - {"tapcut-edge"}:
        assert all(rule["from"] for rule in policies[name]["ingress"])
    public = [rule for rule in policies["tapcut-ray"]["ingress"] if "edge" in str(rule)]
    assert [rule["ports"] for rule in public] == [[{"port": 8000}]]
    assert all(one["spec"].get("type", "ClusterIP") == "ClusterIP" for one in of_kind(rendered, "Service"))


def test_the_edge_in_the_cluster_is_the_edge_that_is_tested(rendered: list[dict[str, Any]]) -> None:
    (templates,) = of_kind(rendered, "ConfigMap")
    folder = DEPLOY / "nginx" / "templates"
    assert templates["data"] == {path.name: path.read_text() for path in folder.iterdir()}


def test_what_is_printed_is_what_was_made() -> None:
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main(["--image", "tapcut:1", "--monitoring"]) == 0
    assert list(yaml.safe_load_all(printed.getvalue())) == manifests(VARIANTS["GPUs and a shared volume"])


def edge_variables() -> list[dict[str, str]]:
    """TAPCUT_* in compose.yaml and in the manifests."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["nginx"]["environment"]
    defaults = {name: re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", str(value)) for name, value in compose.items()}
    (edge,) = of_kind(manifests(VARIANTS["processors only"]), "Deployment")
    listed = edge["spec"]["template"]["spec"]["containers"][0]["env"]
    return [defaults, {one["name"]: one["value"] for one in listed}]


def test_the_edges_limits_are_the_services_in_compose_and_cluster() -> None:
    defaults = Settings(_env_file=None)  # type: ignore[call-arg]
    wanted = set()
    for template in (DEPLOY / "nginx" / "templates").iterdir():
        wanted |= set(re.findall(r"\$\{(TAPCUT_\w+)\}", template.read_text()))
    for variables in edge_variables():
        assert wanted <= set(variables)
        assert int(variables["TAPCUT_UPLOAD_BYTES"]) == defaults.max_upload_mb * 1_000_000 + 16_384
        assert int(variables["TAPCUT_JSON_BYTES"]) == defaults.max_json_mb * 1_000_000


def test_compose_names_settings_volumes_secrets_and_networks_that_exist() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    known = {name.upper() for name in Settings.model_fields} | {"RAY_ROTATION_MAX_BYTES"}
    assert set(compose["services"]["app"]["environment"]) <= known
    for overlay in ("compose.gpu.yaml", "compose.tls.yaml"):
        added = yaml.safe_load((DEPLOY / overlay).read_text())
        assert set(added["services"]) <= set(compose["services"])
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists(), volume
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
        assert set(service.get("networks", [])) <= set(compose["networks"]), name
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
        assert service["restart"] == "unless-stopped" and service["read_only"]
        assert service["deploy"]["resources"]["limits"]["memory"]
        if name != "app":  # its image brings its own
            assert service["healthcheck"]["test"]
        assert not re.search(r"latest|:$", service["image"])


def test_compose_reaches_what_it_names() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    app = services["app"]["environment"]
    assert services["nginx"]["environment"]["TAPCUT_UPSTREAM"] == f"app:{app['PORT']}"
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in scraped}
    assert targets == {
        "tapcut": [f"127.0.0.1:{app['PORT']}"],
        "ray": [f"127.0.0.1:{app['RAY_METRICS_PORT']}"],
    }
    redis = services["redis"]["command"][-1]
    assert "--appendfsync always" in redis and "noeviction" in redis and "requirepass" in redis
    assert "ports" not in services["redis"] and "ports" not in services["app"]
