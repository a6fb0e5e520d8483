"""`make doctor` or `tapcut doctor`: is this machine fit to serve, and if not, what mends it?

Owns the checks and their advice. Looks only: starts nothing that stays, changes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from engine.types import Device
from launch.loopback import LOCAL, why_not_bound
from settings import Settings, SettingsError, read_settings
from storage.store_url import FolderAddress, parse_store_url

ROOT = Path(__file__).resolve().parent
LEAST_MEMORY_GB = 6.0  # resident memory of the service with full-size networks on a CPU: 5.5 GB, 2026-11-22
OLDEST_REDIS = (6, 2)


class Grade(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"  # it serves, but not as it should
    BAD = "bad"  # it does not serve


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result, and how to mend it where it is not ok."""

    grade: Grade
    what: str
    mend: str = ""


def main(arguments: list[str] | None = None) -> int:
    """Print all findings. Answers the exit code: 1 when one is bad."""
    parser = argparse.ArgumentParser(prog="tapcut doctor", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one line of JSON a finding")
    options = parser.parse_args(arguments)
    bad = False
    for finding in examine():
        bad = bad or finding.grade is Grade.BAD
        if options.json:
            print(
                json.dumps({"grade": finding.grade, "what": finding.what, "mend": finding.mend}), flush=True
            )
        else:
            print(
                f"{finding.grade:8} {finding.what}"
                + (f"\n         -> {finding.mend}" if finding.mend else ""),
                flush=True,
            )
    return int(bad)


def examine() -> Iterator[Finding]:
    """All checks, in the order in which a start would fail."""
    yield Finding(Grade.OK, f"Python {platform.python_version()}")
    try:
        settings = read_settings()
    except SettingsError as error:
        yield Finding(
            Grade.BAD, f"settings: {error}", "mend the name or the value in the environment or .env"
        )
        return
    yield Finding(Grade.OK, "settings: every name and value is known")
    checks: tuple[Callable[[Settings], Finding], ...] = (
        port,
        access,
        work_folder,
        store,
        redis_server,
        memory,
        device,
        placement,
        checkpoints,
    )
    for check in checks:
        yield check(settings)


def port(settings: Settings) -> Finding:
    """The port is free, or this service is on it."""
    where = f"port {settings.port} on {settings.host}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
            return Finding(Grade.OK, f"{where} is free")
        except (OSError, UnicodeError) as error:
            if why := why_not_bound(settings.host, settings.port, error):
                return Finding(Grade.BAD, *why)
    host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host
    try:
        with LOCAL.open(f"http://{host}:{settings.port}/health", timeout=5) as answer:
            health = json.load(answer)
        return Finding(Grade.OK, f"{where}: a service answers, {health['status']}")
    except urllib.error.HTTPError as error:
        return Finding(
            Grade.WARNING, f"{where}: a service answers {error.code}", "look at its /health and its log"
        )
    except (OSError, ValueError, KeyError):
        return Finding(
            Grade.BAD, f"{where} is taken by something else", "end what listens there, or set PORT"
        )


def access(settings: Settings) -> Finding:
    """An address that others reach asks for keys."""
    local = settings.host in ("127.0.0.1", "::1", "localhost")
    if settings.api_keys:
        return Finding(Grade.OK, f"{len(settings.api_keys.split(','))} API keys known")
    if local:
        return Finding(Grade.OK, f"open to everybody on this machine ({settings.host})")
    return Finding(
        Grade.WARNING,
        f"open to everybody who reaches {settings.host}",
        "set API_KEYS (`python -m deployments.http.keys NAME` makes one), or HOST=127.0.0.1",
    )


def work_folder(settings: Settings) -> Finding:
    """WORK_DIR can be written to, keeps what is renamed, and has room."""
    return _folder(settings, "WORK_DIR", settings.work_dir)


def store(settings: Settings) -> Finding:
    """What STORE_URL names can be written, read, listed and deleted."""
    if not settings.store_url:
        return Finding(Grade.OK, "STORE_URL is not set: artifacts are kept in WORK_DIR")
    address = parse_store_url(settings.store_url)
    if isinstance(address, FolderAddress):
        return _folder(settings, "STORE_URL", address.path)
    from storage.store_check import check_bucket

    trouble = check_bucket(address)
    if trouble is None:
        return Finding(Grade.OK, f"STORE_URL {address}: writes, reads, lists and deletes")
    grade = Grade.WARNING if trouble.works else Grade.BAD
    return Finding(grade, f"STORE_URL {trouble.what}", trouble.mend)


def _folder(settings: Settings, setting: str, folder: Path) -> Finding:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".tapcut-doctor-", dir=there) as probe:
            before, after = Path(probe) / "before", Path(probe) / "after"
            with before.open("wb") as file:
                file.write(b"x")
                os.fsync(file.fileno())
            before.replace(after)
            if after.read_bytes() != b"x":
                raise OSError("a renamed file lost its content")
    except OSError as error:
        return Finding(Grade.BAD, f"{setting} {folder}: {error.strerror or error}", f"set another {setting}")
    free_mb = shutil.disk_usage(there).free / 1e6
    if free_mb < settings.min_free_mb:
        return Finding(
            Grade.BAD,
            f"{setting} {folder}: {free_mb:.0f} MB free, new work is refused below {settings.min_free_mb:g}",
            f"make room, or set {setting} on a larger volume",
        )
    grade = Grade.OK if free_mb > 4 * settings.min_free_mb else Grade.WARNING
    mend = "" if grade is Grade.OK else "make room, or set a shorter JOB_TTL_S"
    return Finding(grade, f"{setting} {folder}: writable, {free_mb / 1000:.1f} GB free", mend)


def redis_server(settings: Settings) -> Finding:
    """Redis answers and keeps what it is given; or one of our own can be started."""
    if not settings.redis_url:
        from storage.redis_server import RedisServerError, find_binary

        try:
            return Finding(
                Grade.OK, f"REDIS_URL is not set: `make serve` starts {find_binary().name} of its own"
            )
        except RedisServerError as error:
            return Finding(Grade.BAD, f"Redis: {error}", "install Redis 6.2 or later, or set REDIS_URL")
    import redis

    client = redis.Redis.from_url(
        settings.redis_url, socket_timeout=5, socket_connect_timeout=5, decode_responses=True
    )
    try:
        info = client.info("server")
        version = str(info["redis_version"])
        kept = client.config_get("appendonly").get("appendonly", "?")
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy", "?")
    except redis.AuthenticationError:
        return Finding(
            Grade.BAD, "Redis refuses the password", "put it into REDIS_URL: redis://:PASSWORD@host:6379/0"
        )
    except redis.ResponseError:
        return Finding(
            Grade.WARNING,
            "Redis answers, but does not tell its settings",
            "make sure that AOF is on and the policy noeviction",
        )
    except (redis.RedisError, OSError):
        return Finding(Grade.BAD, "Redis does not answer at REDIS_URL", "start it, or correct REDIS_URL")
    finally:
        client.close()
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        return Finding(Grade.BAD, f"Redis {version} is too old", "install Redis 6.2 or later")
    if kept != "yes":
        return Finding(
            Grade.WARNING,
            f"Redis {version} keeps jobs in memory only",
            "CONFIG SET appendonly yes (and in redis.conf)",
        )
    if policy != "noeviction":
        return Finding(
            Grade.WARNING,
            f"Redis {version} may evict jobs ({policy})",
            "CONFIG SET maxmemory-policy noeviction",
        )
    return Finding(Grade.OK, f"Redis {version}: append-only file on, noeviction")


def memory(settings: Settings) -> Finding:
    """There is memory for the service with full-size networks."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    text = f"memory: {gigabytes:.1f} GB, {os.cpu_count()} cores"
    if gigabytes < LEAST_MEMORY_GB:
        return Finding(
            Grade.WARNING, text, "set CHECKPOINT_DOWNLOAD=false to serve the small bundled networks"
        )
    return Finding(Grade.OK, text)


def device(settings: Settings) -> Finding:
    """The device asked for exists."""
    import torch

    cuda = torch.cuda.is_available()
    if settings.device is Device.CUDA and not cuda:
        built = torch.version.cuda is not None
        mend = "look at nvidia-smi and the driver" if built else "install a CUDA build of torch"
        return Finding(Grade.BAD, "DEVICE=cuda, but torch finds no GPU", f"{mend}, or set DEVICE=cpu")
    if cuda and settings.device is not Device.CPU:
        free, total = torch.cuda.mem_get_info()
        text = f"device: {torch.cuda.get_device_name()}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
        return Finding(
            Grade.OK if free > 4e9 else Grade.WARNING, text, "" if free > 4e9 else "free some of its memory"
        )
    return Finding(Grade.OK, f"device: cpu, {torch.backends.cpu.get_cpu_capability()}")


def placement(settings: Settings) -> Finding:
    """What `make serve` deploys fits on this machine, by Ray's books."""
    import torch

    from launch.check_placement import require_placement
    from launch.configuration import read_config
    from launch.errors import LaunchError
    from launch.placement import Node

    cores, cards = max(2, os.cpu_count() or 2), torch.cuda.device_count()
    config = read_config(ROOT / "serve_config.local.yaml")
    # The config's own settings win, as they do when it is deployed.
    settings = read_settings({**settings.as_args(), **(config["applications"][0].get("args") or {})})
    try:
        placed = require_placement(config, settings, [Node("this machine", {"CPU": cores, "GPU": cards})])
    except LaunchError as error:
        return Finding(Grade.BAD, f"placement: {error}", "change what is named, or set DEVICE=cpu")
    return Finding(Grade.OK, f"placement: {len(placed)} replicas fit on {cores} cores and {cards} GPUs")


def checkpoints(settings: Settings) -> Finding:
    """Both networks have a checkpoint that is what it should be; says which."""
    command = [
        sys.executable,
        "-m",
        "engine.checkpoints",
        "--cache-dir",
        str(settings.cache_dir),
        "--no-download",
    ]
    for option, path in (
        ("--mobile-sam", settings.mobile_sam_checkpoint),
        ("--lama", settings.lama_checkpoint),
    ):
        if path is not None:
            command += [option, str(path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        lines = found.stderr.strip().splitlines() or ["no reason given"]
        return Finding(
            Grade.BAD, f"checkpoints: {lines[-1]}", "correct MOBILE_SAM_CHECKPOINT or LAMA_CHECKPOINT"
        )
    used = [line.split("\t")[:2] for line in found.stdout.splitlines()]
    text = "checkpoints: " + ", ".join(f"{name} {origin}" for name, origin in used)
    if any(origin == "bundled" for _, origin in used):
        return Finding(
            Grade.WARNING,
            text,
            "the bundled networks are small: `make serve` fetches the released ones where it can, or set "
            " MOBILE_SAM_CHECKPOINT and LAMA_CHECKPOINT",
        )
    return Finding(Grade.OK, text)


if __name__ == "__main__":
    sys.exit(main())
