"""`make serve`: everything on one machine, started in order and ended together.

Owns the lives of Redis and Ray on a single machine: starts what is missing, deploys
`serve_config.local.yaml`, waits until the service answers, and leaves no process behind. A cluster
uses `ray start` and `serve deploy serve_config.yaml` instead.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from settings import LOOPBACK_NAMES, Settings, SettingsError, read_settings

if TYPE_CHECKING:
    from storage.redis_server import RedisServer

ROOT = Path(__file__).resolve().parent
START_TIMEOUT_S = 300.0
WATCH_S, SLOWEST_WATCH_S = 0.2, 3.0  # how often the watched processes are looked at
EDGE_SETTINGS = (
    *("MAX_UPLOAD_MB", "MAX_JSON_MB", "HEAD_TIMEOUT_S", "BODY_SILENCE_S", "BODY_TIMEOUT_S"),
    "CORS_ORIGINS",
)


class LaunchError(Exception):
    """The service cannot be started; the message says why and how to mend it."""


class RayEndedError(Exception):
    """One of Ray's own processes has ended, and nothing can be served without it."""


@dataclass(frozen=True)
class Running:
    """A service that answers. `redis`: the one that belongs to it, if any."""

    url: str
    settings: Settings
    redis: RedisServer | None


class StopSignal:
    """Set by Ctrl-C or SIGTERM; SIGHUP asks for a reload.

    A pipe rather than `threading.Event`: a handler that runs inside `Event.wait` waits for ever for the
    lock that the interrupted wait holds.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._reload = False

    def listen(self) -> None:
        """Set on SIGINT and SIGTERM from now on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.set())
        signal.signal(signal.SIGHUP, lambda *_: self._ask_reload())

    def _ask_reload(self) -> None:
        self._reload = True

    def take_reload(self) -> bool:
        """Whether a reload was asked for since the last call."""
        asked, self._reload = self._reload, False
        return asked

    def set(self) -> None:
        """Ask the service to end; may be called again and from a signal handler."""
        with suppress(BlockingIOError):
            os.write(self._write, b"x")

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it is set, after at most `seconds`."""
        ready, _, _ = select.select([self._read], [], [], seconds)
        return bool(ready)

    def is_set(self) -> bool:
        """Whether it is set."""
        return self.wait(0)


def say(line: str) -> None:
    """One line of progress."""
    print(f"tapcut: {line}", flush=True)


def command() -> None:
    """Serve on this machine until Ctrl-C; the same as `make serve`."""
    raise SystemExit(main([]))


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="make serve", description="Serve tapcut on this machine.")
    parser.add_argument(
        "--config", type=Path, default=ROOT / "serve_config.local.yaml", help="serve config to deploy"
    )
    options = parser.parse_args(arguments)
    stop = StopSignal()
    stop.listen()
    try:
        settings = settings_of(options.config)
        with service(settings, options.config, stop) as running:
            if not stop.is_set():
                url = running.url
                say(f"ready on {url}  (page {url}/app/, API {url}/docs). Ctrl-C ends it.")
                say(_who_may_use(settings))
            _watch(running, options.config, stop)
            say("stopping: running jobs are finished or given back to the queue")
    except RayEndedError as error:
        print(f"tapcut: {error}", file=sys.stderr)
        return 2
    except (LaunchError, SettingsError) as error:
        print(f"tapcut: cannot start: {error}", file=sys.stderr)
        return 1
    say("stopped")
    return 0


def read_config(path: Path) -> dict[str, Any]:
    """The serve config as a tree.

    Raises:
        LaunchError: it cannot be read.
    """
    try:
        config: dict[str, Any] = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise LaunchError(f"the serve config {path} cannot be read: {error}") from error
    return config


def settings_of(config_path: Path) -> Settings:
    """Settings of the config's `args`, the environment and `.env`.

    Raises:
        LaunchError: the config cannot be read.
        SettingsError: a setting is unknown or out of range.
    """
    return read_settings(read_config(config_path)["applications"][0].get("args"))


@contextmanager
def service(settings: Settings, config_path: Path, stop: StopSignal) -> Iterator[Running]:
    """The whole service, answering once it is yielded; ended with the context.

    Raises:
        LaunchError: something is missing or does not start.
    """
    url = f"http://{'127.0.0.1' if settings.host == '0.0.0.0' else settings.host}:{settings.port}"
    with ExitStack() as stack:
        _forget_plain_keys()
        settings = _hold_to_loopback(settings)
        stack.enter_context(_hold_port(settings))
        _prepare_folder(settings.work_dir)
        redis = None if settings.redis_url else stack.enter_context(_own_redis(settings.work_dir))
        if redis is not None:
            settings = settings.model_copy(update={"redis_url": redis.url})
        if not stop.is_set():
            _fetch_checkpoints(settings)
        if not stop.is_set():
            stack.enter_context(_ray(settings))
            say(f"deploying {deploy(settings, config_path)} stages")
            wait_until_ready(url, stop)
        yield Running(url, settings, redis)


def _watch(running: Running, config_path: Path, stop: StopSignal) -> None:
    """Keep Redis alive and reload on request, until asked to stop.

    Raises:
        RayEndedError: Ray itself has ended.
    """
    from storage.redis_server import RedisServerError

    pause_s, told = WATCH_S, ""
    while not stop.wait(pause_s):
        _require_ray()
        try:
            if running.redis is not None and running.redis.revive():
                say("Redis had ended and was started again from its file")
                # One that ends at each write (a full disk) is not to be started many times a second.
                pause_s = min(2 * pause_s, SLOWEST_WATCH_S)
            else:
                pause_s = WATCH_S
        except RedisServerError as error:
            pause_s = min(2 * pause_s, SLOWEST_WATCH_S)
            if str(error) != told:
                told = str(error)
                say(f"Redis has ended and cannot be started yet, trying on: {told}")
        if stop.take_reload():
            _reload(running, config_path)


def _require_ray() -> None:
    import ray

    node = ray._private.worker._global_node
    ended = [kind for kind, _ in node.dead_processes() if kind in ("raylet", "gcs_server")] if node else []
    if ended:
        raise RayEndedError(
            f"Ray's {ended[0]} has ended, so the service ends. Accepted jobs are kept: start it again"
        )


def _reload(running: Running, config_path: Path) -> None:
    """Deploy what the config and `.env` say now, replica by replica; what cannot change is kept."""
    kept = running.settings.model_dump(include={"host", "port", "work_dir", "redis_url"})
    try:
        settings = settings_of(config_path)
        if not settings.api_keys:
            # Those of the environment were forgotten at the start; a reload must never open the service.
            kept["api_keys"] = running.settings.api_keys
        settings = _hold_to_loopback(settings.model_copy(update=kept))
        stages = deploy(settings, config_path)
        say(f"reloading {stages} stages, replica by replica")
    except (LaunchError, SettingsError) as error:
        say(f"not reloaded: {error}")


def _who_may_use(settings: Settings) -> str:
    keys = len(settings.api_keys.split(",")) if settings.api_keys else 0
    if not keys:
        return "no API_KEYS: open to everybody who reaches this address"
    return f"{keys} API key{'' if keys == 1 else 's'} known, all others are refused"


def _hold_to_loopback(settings: Settings) -> Settings:
    """Without keys, a page whose name was made to mean 127.0.0.1 must not get in."""
    if settings.api_keys or settings.allowed_hosts or settings.host not in LOOPBACK_NAMES.split(","):
        return settings
    return settings.model_copy(update={"allowed_hosts": LOOPBACK_NAMES})


def _forget_plain_keys() -> None:
    # What is started from here on gets the hashes with the settings; its environment must not show the keys.
    for name in [name for name in os.environ if name.upper() == "API_KEYS"]:
        del os.environ[name]


@contextmanager
def _hold_port(settings: Settings) -> Iterator[None]:
    """Keep other launchers off the port.

    Ray's proxy shares its port with whoever asks (SO_REUSEPORT): of two services that start at the same
    time each would get half of the other's requests. A bound socket that does not listen gets none.

    Raises:
        LaunchError: the port is taken.
    """
    address = (settings.host, settings.port)
    with socket.socket() as probe, socket.socket() as holder:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise LaunchError(
                f"port {settings.port} on {settings.host} is not free: end what listens there, or set PORT"
            ) from error
        probe.close()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with suppress(OSError):  # connections of an earlier server may linger; the proxy minds them less
            holder.bind(address)
        yield


def _prepare_folder(work_dir: Path) -> None:
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        probe = work_dir / f".writable-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise LaunchError(
            f"WORK_DIR {work_dir} is not writable ({error.strerror}): set another WORK_DIR"
        ) from error


@contextmanager
def _own_redis(work_dir: Path) -> Iterator[RedisServer]:
    from storage.redis_server import RedisServerError, start_redis

    try:
        server = start_redis(work_dir)
    except RedisServerError as error:
        raise LaunchError(str(error)) from error
    with server:
        say(f"Redis started, its data is kept in {work_dir}")
        yield server


def _fetch_checkpoints(settings: Settings) -> None:
    command = [sys.executable, "-m", "engine.checkpoints", "--cache-dir", str(settings.cache_dir)]
    if not settings.checkpoint_download:
        command.append("--no-download")
    for option, path in (
        ("--mobile-sam", settings.mobile_sam_checkpoint),
        ("--lama", settings.lama_checkpoint),
    ):
        if path is not None:
            command += [option, str(path)]
    say("looking for the networks' checkpoints")
    # A process of its own: torch is not needed in this one afterwards.
    found = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode != 0:
        raise LaunchError("a checkpoint cannot be used, see the line above")
    for line in found.stdout.splitlines():
        name, origin, file, _ = line.split("\t")
        say(f"{name}: {origin} checkpoint, {Path(file).name}")


def prepare_ray_environment(settings: Settings) -> None:
    """Set what Ray and its processes take from the environment; before Ray is imported."""
    # A dead HTTP proxy is replaced in 5 s instead of 30.
    os.environ.setdefault("RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S", "1")
    os.environ.setdefault("RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S", "2")
    # A replica that does not answer its health check does not drain either: waiting for it only delays.
    os.environ.setdefault("RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # glibc gives each of some forty threads an arena of its own, and what is freed in one stays there.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    # Ray keeps six files of 512 MiB of each process's log; three of 64 MiB are some weeks of a busy service.
    os.environ.setdefault("RAY_ROTATION_MAX_BYTES", str(64 << 20))
    os.environ.setdefault("RAY_ROTATION_BACKUP_COUNT", "2")
    # Ray starts its workers at niceness 15: on a busy laptop that made every stage wait for the rest.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.update(settings.as_environment())
    # The HTTP proxy is Serve's own process: it reads its limits from the environment.
    os.environ.setdefault("RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", "deployments.http.edge.edge_of_proxy")
    for name in EDGE_SETTINGS:
        os.environ[name] = str(settings.as_args()[name])
    # Ray's name for it: one machine only. Its address is then 127.0.0.1, and most of its ports listen there.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    _require_ray_token(settings.work_dir / ".ray_token")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


@contextmanager
def _ray(settings: Settings) -> Iterator[None]:
    prepare_ray_environment(settings)
    say("starting Ray")
    import ray
    from ray import serve

    # The processes share the machine's cores; what runs where is set in the serve config.
    ray.init(
        address="local",  # also beside a cluster that somebody else has started on this machine
        num_cpus=max(2, os.cpu_count() or 2),
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        object_store_memory=512 << 20,
        log_to_driver=settings.log_level.lower() == "debug",
        logging_level="warning",
        namespace="serve",
    )
    try:
        yield
    except RayEndedError:
        # Without it there is nobody to ask for an orderly end; Serve's answer would be waited for in vain.
        ray.shutdown()
        raise
    except BaseException:
        serve.shutdown()
        ray.shutdown()
        raise
    serve.shutdown()
    ray.shutdown()


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


def deploy(settings: Settings, config_path: Path) -> int:
    """Deploy the config, over what runs already; the number of its stages."""
    from ray import serve
    from ray.serve.schema import ServeDeploySchema

    config = read_config(config_path)
    config["applications"][0]["args"] = settings.as_args()
    config["http_options"] = {"host": settings.host, "port": settings.port}
    config["logging_config"]["log_level"] = settings.log_level.upper()
    schema = ServeDeploySchema.model_validate(config)
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
            raise LaunchError(_last_line(application.message))
        if application is not None and application.status == "RUNNING":
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
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


if __name__ == "__main__":
    sys.exit(main())
