"""The Kubernetes manifests: `python -m deploy.render --image REGISTRY/tapcut:VERSION > tapcut.yaml`.

Owns what is put into deploy/kuberay/*.yaml from elsewhere, so that nothing is written twice: the stages from
serve_config.yaml, Ray's environment from `launch.ray_environment`, the edge from deploy/nginx, rules from
deploy/prometheus, and the numbers of workers, which follow from the replicas.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from launch.configuration import ROOT, read_config
from launch.placement import resources_of
from launch.ray_environment import node_environment
from settings import read_settings

DEPLOY = Path(__file__).resolve().parent
IMAGE_ROOT = "/srv/tapcut"
REDIS = "tapcut-redis:6379"


@dataclass(frozen=True, slots=True)
class Options:
    """What differs between installations. `store_url`: S3 instead of the shared volume; "" = the volume."""

    image: str
    namespace: str = "tapcut"
    device: str = "cuda"
    redis: str = REDIS
    store_url: str = ""
    monitoring: bool = False


def serve_config(options: Options) -> dict[str, Any]:
    """serve_config.yaml for this installation.

    Without REDIS_URL, which holds a password and comes by the environment. DEVICE decides whether the stages
    with networks ask for shares of GPUs.
    """
    config = read_config(ROOT / "serve_config.yaml")
    application = config["applications"][0]
    application["args"].pop("REDIS_URL", None)
    application["args"]["DEVICE"] = options.device
    if options.store_url:
        application["args"]["STORE_URL"] = options.store_url
    return config


def workers(config: dict[str, Any], resource: str, per_worker: float, spread: bool) -> tuple[int, int]:
    """How many workers hold the stages that ask for `resource` (CPU or GPU), at least and at most.

    `spread`: also as many as the stages' `max_replicas_per_node` asks for.
    """
    lowest = highest = 0.0
    nodes = 1
    for deployment in config["applications"][0]["deployments"]:
        share = _asked(config, deployment).get(resource, 0)
        scaling = deployment.get("autoscaling_config", {})
        fixed = deployment.get("num_replicas", 1)
        least, most = scaling.get("min_replicas", fixed), scaling.get("max_replicas", fixed)
        lowest += share * least
        highest += share * most
        on_one = deployment.get("max_replicas_per_node")
        if share and spread and on_one:
            nodes = max(nodes, math.ceil(least / on_one))
    at_least = max(nodes, math.ceil(lowest / per_worker))
    return at_least, max(at_least, math.ceil(highest / per_worker))


def manifests(options: Options) -> list[dict[str, Any]]:
    """All documents, in the order in which they are to be applied."""
    config = serve_config(options)
    documents = [*_load("around.yaml"), *_load("service.yaml"), _edge_templates()]
    if options.monitoring:
        documents += _monitoring()
    if options.store_url:
        documents = [one for one in documents if one["kind"] != "PersistentVolumeClaim"]
    if options.redis != REDIS:
        documents = [one for one in documents if one["metadata"]["name"] != "tapcut-redis"]
    service = next(one for one in documents if one["kind"] == "RayService")
    _fill_service(service, config, options)
    least = sum(one["minReplicas"] for one in service["spec"]["rayClusterConfig"]["workerGroupSpecs"])
    for one in documents:
        one["metadata"]["namespace"] = options.namespace
        one["metadata"].setdefault("labels", {})["app.kubernetes.io/name"] = "tapcut"
        if one["kind"] == "PodDisruptionBudget" and one["metadata"]["name"] == "tapcut-workers":
            one["spec"]["minAvailable"] = max(1, least - 1)
    return documents


def _fill_service(service: dict[str, Any], config: dict[str, Any], options: Options) -> None:
    spec = service["spec"]
    spec["serveConfigV2"] = yaml.safe_dump(config, sort_keys=False, width=200)
    cluster = spec["rayClusterConfig"]
    cluster["rayVersion"] = version("ray")
    cluster["gcsFaultToleranceOptions"]["redisAddress"] = options.redis
    groups = {one["groupName"]: one for one in cluster["workerGroupSpecs"]}
    cpu = float(groups["cpu"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
    if options.device == "cpu":
        cluster["workerGroupSpecs"] = [groups["cpu"]]
        sizes = {"cpu": workers(config, "CPU", cpu, spread=True)}
    else:
        without_gpu = _only(config, gpu=False)
        sizes = {
            "cpu": workers(without_gpu, "CPU", cpu, spread=True),
            "gpu": workers(_only(config, gpu=True), "GPU", 1, spread=True),
        }
    for group in cluster["workerGroupSpecs"]:
        least, most = sizes[group["groupName"]]
        group.update(replicas=least, minReplicas=least, maxReplicas=most)
    environment = [
        *({"name": name, "value": value} for name, value in _environment(config).items()),
        {"name": "REDIS_URL", "valueFrom": {"secretKeyRef": {"name": "tapcut-redis", "key": "url"}}},
    ]
    for template in (cluster["headGroupSpec"]["template"], *(one["template"] for one in groups.values())):
        container = template["spec"]["containers"][0]
        container["image"] = options.image
        container["env"] = environment
        container["envFrom"] = [{"secretRef": {"name": "tapcut-settings", "optional": True}}]
        if options.store_url:
            for volume in template["spec"]["volumes"]:
                if volume["name"] == "jobs":
                    volume.pop("persistentVolumeClaim", None)
                    volume["emptyDir"] = {"sizeLimit": "20Gi"}


def _environment(config: dict[str, Any]) -> dict[str, str]:
    environment = node_environment(read_settings(config["applications"][0]["args"]), {})
    del environment["RAY_AUTH_MODE"]  # KubeRay sets it, and the token
    return {**environment, "PYTHONPATH": IMAGE_ROOT}


def _asked(config: dict[str, Any], deployment: dict[str, Any]) -> dict[str, float]:
    settings = read_settings(config["applications"][0].get("args"))
    return resources_of(deployment, settings, cluster_has_gpus=True)


def _only(config: dict[str, Any], gpu: bool) -> dict[str, Any]:
    application = config["applications"][0]
    kept = [one for one in application["deployments"] if ("GPU" in _asked(config, one)) == gpu]
    return {"applications": [{**application, "deployments": kept}]}


def _load(name: str) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all((DEPLOY / "kuberay" / name).read_text())


def _edge_templates() -> dict[str, Any]:
    templates = sorted((DEPLOY / "nginx" / "templates").glob("*.template"))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "tapcut-edge"},
        "data": {path.name: path.read_text() for path in templates},
    }


def _monitoring() -> list[dict[str, Any]]:
    """For the Prometheus operator: the same rules, Ray's pods, and the service at one address."""
    groups = []
    for name in ("rules.yaml", "alerts.yaml"):
        for group in yaml.safe_load((DEPLOY / "prometheus" / name).read_text())["groups"]:
            groups.append({**group, "name": f"tapcut-{name.removesuffix('.yaml')}"})
    api = "monitoring.coreos.com/v1"
    ray = {"matchLabels": {"app.kubernetes.io/name": "tapcut"}}
    return [
        {
            "apiVersion": api,
            "kind": "PrometheusRule",
            "metadata": {"name": "tapcut"},
            "spec": {"groups": groups},
        },
        {
            "apiVersion": api,
            "kind": "PodMonitor",
            "metadata": {"name": "tapcut-ray"},
            "spec": {"selector": ray, "podMetricsEndpoints": [{"port": "metrics", "path": "/metrics"}]},
        },
        {
            "apiVersion": "monitoring.coreos.com/v1alpha1",
            "kind": "ScrapeConfig",
            "metadata": {"name": "tapcut"},
            "spec": {
                "jobName": "tapcut",
                "authorization": {"credentials": {"name": "tapcut-metrics-key", "key": "key"}},
                "staticConfigs": [{"targets": ["tapcut-serve-svc:8000"]}],
            },
        },
    ]


class _Plain(yaml.SafeDumper):  # type: ignore[misc]
    """Writes shared values out, and texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Plain.add_representer(str, _text)


def main(arguments: list[str] | None = None) -> int:
    """Print the manifests. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.render", description="The Kubernetes manifests.")
    parser.add_argument("--image", required=True, help="the image that your nodes can pull")
    parser.add_argument("--namespace", default="tapcut")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--redis", default=REDIS, help="host:port of your own Redis; default: one is made")
    parser.add_argument("--store-url", default="", help="s3://bucket/prefix instead of a shared volume")
    parser.add_argument("--monitoring", action="store_true", help="objects of the Prometheus operator, too")
    options = Options(**vars(parser.parse_args(arguments)))
    yaml.dump_all(manifests(options), sys.stdout, Dumper=_Plain, sort_keys=False, width=110)
    return 0


if __name__ == "__main__":
    sys.exit(main())
