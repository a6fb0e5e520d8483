"""`make serve`: everything on one machine, started in order and ended together.

Owns the lives of Redis and Ray on a single machine: starts what is missing, deploys
`serve_config.local.yaml`, waits until the service answers, and leaves no process behind. A cluster
uses `ray start` and `serve deploy serve_config.yaml` instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launch.configuration import ROOT, forget_plain_keys, hold_to_loopback, settings_of
from launch.console import say
from launch.errors import LaunchError, RayEndedError
from launch.machine import fetch_checkpoints, hold_port, own_redis, prepare_folder, prepare_store
from launch.ray_service import deploy, ray_running, require_ray, wait_until_ready
from launch.stop_signal import StopSignal
from settings import Settings, SettingsError

if TYPE_CHECKING:
    from storage.redis_server import RedisServer

WATCH_S, SLOWEST_WATCH_S = 0.2, 3.0  # how often the watched processes are looked at


@dataclass(frozen=True)
class Running:
    """A service that answers. `redis`: the one that belongs to it, if any."""

    url: str
    settings: Settings
    redis: RedisServer | None


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


@contextmanager
def service(settings: Settings, config_path: Path, stop: StopSignal) -> Iterator[Running]:
    """The whole service, answering once it is yielded; ended with the context.

    Raises:
        LaunchError: something is missing or does not start.
    """
    url = f"http://{'127.0.0.1' if settings.host == '0.0.0.0' else settings.host}:{settings.port}"
    with ExitStack() as stack:
        forget_plain_keys()
        settings = hold_to_loopback(settings)
        stack.enter_context(hold_port(settings))
        prepare_folder(settings.work_dir)
        prepare_store(settings.store_url)
        redis = None if settings.redis_url else stack.enter_context(own_redis(settings.work_dir))
        if redis is not None:
            settings = settings.model_copy(update={"redis_url": redis.url})
        if not stop.is_set():
            fetch_checkpoints(settings)
        if not stop.is_set():
            stack.enter_context(ray_running(settings))
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
        require_ray()
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


def _reload(running: Running, config_path: Path) -> None:
    """Deploy what the config and `.env` say now, replica by replica; what cannot change is kept."""
    kept = running.settings.model_dump(include={"host", "port", "work_dir", "store_url", "redis_url"})
    try:
        settings = settings_of(config_path)
        if not settings.api_keys:
            # Those of the environment were forgotten at the start; a reload must never open the service.
            kept["api_keys"] = running.settings.api_keys
        settings = hold_to_loopback(settings.model_copy(update=kept))
        stages = deploy(settings, config_path)
        say(f"reloading {stages} stages, replica by replica")
    except Exception as error:  # whatever is wrong with the new config: what runs goes on
        say(f"not reloaded: {error}")


def _who_may_use(settings: Settings) -> str:
    keys = len(settings.api_keys.split(",")) if settings.api_keys else 0
    if not keys:
        return "no API_KEYS: open to everybody who reaches this address"
    return f"{keys} API key{'' if keys == 1 else 's'} known, all others are refused"


if __name__ == "__main__":
    sys.exit(main())
