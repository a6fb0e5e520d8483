"""What has to be there before Ray: the port, the folder, Redis, the checkpoints.

Owns their preparation on one machine, and the sentence that says what is missing.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from launch.configuration import ROOT
from launch.console import say
from launch.errors import LaunchError
from launch.loopback import why_not_bound
from settings import Settings
from storage.store_url import FolderAddress, parse_store_url

if TYPE_CHECKING:
    from storage.redis_server import RedisServer


@contextmanager
def hold_port(settings: Settings) -> Iterator[None]:
    """Keep other launchers off the port.

    Ray's proxy shares its port with whoever asks (SO_REUSEPORT): of two services that start at the same
    time each would get half of the other's requests. A bound socket that does not listen gets none.

    Raises:
        LaunchError: the port is taken, or HOST is no address that could be listened on.
    """
    address = (settings.host, settings.port)
    with socket.socket() as probe, socket.socket() as holder:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except (OSError, UnicodeError) as error:
            taken = (
                f"port {settings.port} on {settings.host} is not free",
                "end what listens there, or set PORT",
            )
            raise LaunchError(": ".join(why_not_bound(*address, error) or taken)) from error
        probe.close()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with suppress(OSError):  # connections of an earlier server may linger; the proxy minds them less
            holder.bind(address)
        yield


def prepare_folder(work_dir: Path, setting: str = "WORK_DIR") -> None:
    """Make the folder of a setting and try it.

    Raises:
        LaunchError: it cannot be written to.
    """
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        probe = work_dir / f".writable-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise LaunchError(
            f"{setting} {work_dir} is not writable ({error.strerror}): set another {setting}"
        ) from error


def prepare_store(store_url: str) -> None:
    """Try the store at STORE_URL, if one is set: make its folder, or use its bucket once.

    Raises:
        LaunchError: it cannot be used.
    """
    if not store_url:
        return
    address = parse_store_url(store_url)
    if isinstance(address, FolderAddress):
        prepare_folder(address.path, "STORE_URL")
        return
    from storage.store_check import check_bucket

    trouble = check_bucket(address)
    if trouble is not None and not trouble.works:
        raise LaunchError(f"STORE_URL {trouble.what}: {trouble.mend}")
    say(f"artifacts are kept in {address}" + (f" ({trouble.what}: {trouble.mend})" if trouble else ""))


@contextmanager
def own_redis(work_dir: Path) -> Iterator[RedisServer]:
    """A Redis of our own under WORK_DIR, ended with the context.

    Raises:
        LaunchError: it cannot be started.
    """
    from storage.redis_server import RedisServerError, start_redis

    try:
        server = start_redis(work_dir)
    except RedisServerError as error:
        raise LaunchError(str(error)) from error
    with server:
        say(f"Redis started, its data is kept in {work_dir}")
        yield server


def fetch_checkpoints(settings: Settings) -> None:
    """Fetch the released checkpoints where they are wanted and can be had; say which will be used.

    Raises:
        LaunchError: a configured one cannot be used.
    """
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
