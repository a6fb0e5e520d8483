"""Ray on one machine, with the application deployed on it.

Owns Ray's life, the deploying and the waiting until the service answers. Imports Ray only when called:
Ray reads its environment when it is imported.
"""

from __future__ import annotations

import io
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from launch.check_placement import nodes_of_ray, require_placement
from launch.configuration import read_config
from launch.console import say
from launch.errors import LaunchError, RayEndedError
from launch.loopback import LOCAL
from launch.ray_environment import prepare_ray_environment
from launch.stop_signal import StopSignal
from settings import Settings

START_TIMEOUT_S = 300.0


@contextmanager
def ray_running(settings: Settings) -> Iterator[None]:
    """Ray on this machine's loopback address, ended with the context, Serve first.

    Raises:
        LaunchError: Ray does not start.
    """
    prepare_ray_environment(settings)
    say("starting Ray")
    import ray

    try:
        # The processes share the machine's cores; what runs where is set in the serve config.
        ray.init(
            address="local",  # also beside a cluster that somebody else has started on this machine
            num_cpus=max(2, os.cpu_count() or 2),
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            _metrics_export_port=settings.ray_metrics_port or None,
            object_store_memory=512 << 20,
            log_to_driver=settings.log_level.lower() == "debug",
            logging_level="warning",
            namespace="serve",
        )
    except Exception as error:  # Ray has no type of its own for it
        raise LaunchError(
            f"Ray does not start: {_last_line(str(error))} "
            "Is the machine short of memory, or very busy? Try again"
        ) from error
    try:
        yield
    except RayEndedError:
        # Without it there is nobody to ask for an orderly end; Serve's answer would be waited for in vain.
        ray.shutdown()
        raise
    except BaseException:
        _end_quietly()
        raise
    _end_quietly()


def _end_quietly() -> None:
    import ray
    from ray import serve

    # Ray reports on the standard output that Serve's controller, which ended itself as asked, has failed.
    with redirect_stdout(io.StringIO()):
        serve.shutdown()
        ray.shutdown()


def require_ray() -> None:
    """Return while Ray itself lives.

    Raises:
        RayEndedError: one of its own processes has ended.
    """
    import ray

    node = ray._private.worker._global_node
    ended = [kind for kind, _ in node.dead_processes() if kind in ("raylet", "gcs_server")] if node else []
    if ended:
        raise RayEndedError(
            f"Ray's {ended[0]} has ended, so the service ends. Accepted jobs are kept: start it again"
        )


def deploy(settings: Settings, config_path: Path) -> int:
    """Deploy the config, over what runs already; the number of its stages.

    Raises:
        LaunchError: the config is none, or the nodes have no room for it.
    """
    from pydantic import ValidationError
    from ray import serve
    from ray.serve.schema import ServeDeploySchema

    config = read_config(config_path)
    config["applications"][0]["args"] = settings.as_args()
    config["http_options"] = {"host": settings.host, "port": settings.port}
    config.setdefault("logging_config", {})["log_level"] = settings.log_level.upper()
    try:
        schema = ServeDeploySchema.model_validate(config)
    except ValidationError as error:
        raise LaunchError(f"the serve config {config_path} does not fit: {error}") from error
    require_placement(config, settings, nodes_of_ray())
    serve.start(
        proxy_location=schema.proxy_location,
        http_options=config["http_options"],
        logging_config=schema.logging_config,
    )
    # What `serve run` does with a config file; there is no public function for it.
    from ray.serve.context import _get_global_client

    _get_global_client().deploy_apps(schema)
    return len(schema.applications[0].deployments)


def wait_until_ready(url: str, stop: StopSignal) -> None:
    """Return when the application answers at `url` that it is ready, or when asked to stop.

    Raises:
        LaunchError: it failed to deploy, or is not ready in time.
    """
    from ray import serve

    deadline, last = time.monotonic() + START_TIMEOUT_S, ""
    while not stop.wait(0.2):
        application = serve.status().applications.get("tapcut")
        if application is not None and application.status == "DEPLOY_FAILED":
            failed = [
                f"{name}: {_last_line(one.message)}"
                for name, one in application.deployments.items()
                if one.status == "DEPLOY_FAILED"
            ]
            raise LaunchError("; ".join(failed) or _last_line(application.message))
        if application is not None and application.status == "RUNNING":
            try:
                with LOCAL.open(f"{url}/health", timeout=5) as answer:
                    health = json.load(answer)
                if health["status"] == "ok":
                    return
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                pass
        waiting = ", ".join(
            sorted(name for name, one in application.deployments.items() if one.status != "HEALTHY")
            if application is not None
            else ["the application"]
        )
        if waiting and waiting != last:
            say(f"waiting for {waiting}")
            last = waiting
        if time.monotonic() > deadline:
            raise LaunchError(
                f"not ready after {START_TIMEOUT_S:g} s, still waiting for: {waiting or 'health'}"
            )


def _last_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1] if lines else "the application failed to deploy"
