"""The environment that Ray and its processes are started with.

Owns every variable of Ray's that this project sets, on one machine and on the nodes of a cluster, and the
token that Ray's ports ask for.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from launch.configuration import ROOT
from settings import Settings

EDGE_SETTINGS = (
    *("MAX_UPLOAD_MB", "MAX_JSON_MB", "HEAD_TIMEOUT_S", "BODY_SILENCE_S", "BODY_TIMEOUT_S"),
    "CORS_ORIGINS",
)
EVERYWHERE = {
    # A dead HTTP proxy is replaced in 5 s instead of 30.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "2",
    # A replica that does not answer its health check does not drain either: waiting for it only delays.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # glibc gives each of some forty threads an arena of its own, and what is freed in one stays there.
    "MALLOC_ARENA_MAX": "2",
    # Ray keeps six files of 512 MiB of each process's log; three of 64 MiB are some weeks of a busy service.
    "RAY_ROTATION_MAX_BYTES": str(64 << 20),
    "RAY_ROTATION_BACKUP_COUNT": "2",
    # Ray starts its workers at niceness 15: on a busy laptop that made every stage wait for the rest.
    "RAY_worker_niceness": "0",
    # The HTTP proxy is Serve's own process: it reads its limits from the environment.
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "deployments.http.edge.edge_of_proxy",
}
ONE_MACHINE = {
    # Ray's bookkeeping at its usual pace took 19 % of a core of an idle service, at this one 14 %.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.3",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "2000",
    "RAY_metrics_report_interval_ms": "30000",
    "RAY_task_events_report_interval_ms": "0",  # none: nobody lists the tasks of a single machine
    "REPORTER_UPDATE_INTERVAL_MS": "30000",
    # Ray's name for it: one machine only. Its address is then 127.0.0.1, and most of its ports listen there.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
CLUSTER = {
    # A node whose processes died is believed lost after five checks of a second, a silent one after 20 s;
    # Ray's own numbers take 15 s and 65. Much shorter, a node that is only busy would be given up.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "5",
    # How long the nodes hold on to their replicas while the head is away; then they end themselves.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "300",
}


def prepare_ray_environment(settings: Settings) -> None:
    """Set what Ray takes from the environment where there is one machine; before Ray is imported."""
    for name, value in {**EVERYWHERE, **ONE_MACHINE}.items():
        os.environ.setdefault(name, value)
    os.environ.update(settings.as_environment())
    os.environ.update(_edge(settings))
    _require_ray_token(settings.work_dir / ".ray_token")
    os.environ["PYTHONPATH"] = _python_path(os.environ)


def node_environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """What `ray start` needs in its environment on every node of a cluster; no secrets are in it.

    What `environment` has set of it stays, but for the edge's limits, which are the settings'.
    """
    chosen = {name: environment.get(name, value) for name, value in {**EVERYWHERE, **CLUSTER}.items()}
    return {
        **chosen,
        **_edge(settings),
        "RAY_AUTH_MODE": "token",
        "PYTHONPATH": _python_path(environment),
    }


def _edge(settings: Settings) -> dict[str, str]:
    return {name: str(settings.as_args()[name]) for name in EDGE_SETTINGS}


def _python_path(environment: Mapping[str, str]) -> str:
    return os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))


def _require_ray_token(path: Path) -> None:
    # Whoever reaches Ray's ports and knows the token runs code here. Ray's own token file is readable
    # by every user of the machine and never changes; this one is new with every start.
    os.environ["RAY_AUTH_MODE"] = "token"
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
