"""What a running service holds: memory, descriptors and threads of each process, Redis, files.

Owns the measuring only; Linux.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis

from trials.service import Service

_ROLES = (
    (re.compile(r"ray::ServeReplica:tapcut:(\w+)"), None),
    (re.compile(r"ray::ServeController"), "controller"),
    (re.compile(r"ray::(HTTP)?Proxy"), "proxy"),
    (re.compile(r"redis-server"), "redis"),
    (re.compile(r"deployments\.sandbox_server"), "sandbox"),
    (re.compile(r"gcs_server"), "gcs"),
    (re.compile(r"raylet/raylet"), "raylet"),
)
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment. Memory in bytes.

    `resident` is without the pages of Ray's object store, which each process maps as it touches them:
    `store` are those. `private` is what no other process could share.
    """

    role: str
    pid: int
    resident: int
    store: int
    private: int
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Stores:
    """What the service keeps outside of its processes' memory."""

    redis_keys: int
    redis_bytes: int
    files: int
    file_bytes: int
    log_bytes: int


def samples(service: Service) -> Iterator[Sample]:
    """One sample of each process of `service`."""
    for process in [service.process, *service.process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, FileNotFoundError, ProcessLookupError):
            role = "launcher" if process == service.process else role_of(process.pid)
            if role == "sandbox" and role_of(process.ppid()) == "sandbox":
                continue  # lives for one picture
            if role is None:
                continue
            fields = _status(process.pid)
            if "VmRSS" not in fields:
                continue  # it is ending: its memory is gone already
            yield Sample(
                role=role,
                pid=process.pid,
                resident=fields["VmRSS"] * 1024 - (mapped := _mapped_store(process.pid)),
                store=mapped,
                private=fields["RssAnon"] * 1024,
                descriptors=len(os.listdir(f"/proc/{process.pid}/fd")),
                threads=fields["Threads"],
            )


def role_of(pid: int) -> str | None:
    """What a process of a service is: a deployment, or a part of Ray; None for a spare worker."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    for pattern, name in _ROLES:
        found = pattern.search(words)
        if found:
            return name or found.group(1)
    if "ray::IDLE" in words or "default_worker" in words:
        return None  # a spare worker that becomes something else under the same id
    script = re.search(r"(\w+)\.py", words)
    return script.group(1) if script else words.split(" ")[0].rsplit("/", 1)[-1]


def _status(pid: int) -> dict[str, int]:
    fields = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("VmRSS", "RssAnon", "Threads"):
            fields[name] = int(value.split()[0])
    return fields


def _mapped_store(pid: int) -> int:
    """Bytes of the object store's file that are resident in the process."""
    mapped, inside = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if line[0] in "0123456789abcdef":
            inside = "/plasma" in line
        elif inside and line.startswith("Rss:"):
            mapped += int(line.split()[1]) * 1024
    return mapped


def redis_of(service: Service) -> redis.Redis:
    """A connection to the Redis that `service` has started for itself."""
    server = next(one for one in service.process.children(recursive=True) if role_of(one.pid) == "redis")
    port = next(one.laddr.port for one in server.net_connections("tcp") if one.status == psutil.CONN_LISTEN)
    password = (service.work_dir / ".redis" / "password").read_text()
    return redis.Redis(host="127.0.0.1", port=port, password=password)


def stores(service: Service, connection: redis.Redis) -> Stores:
    """What `service` keeps now. Redis' own files are not counted among the jobs'."""
    files, size = _folder(service.work_dir, skip=".redis")
    info = connection.info("memory")
    return Stores(
        redis_keys=int(connection.dbsize()),
        redis_bytes=int(info["used_memory"]),
        files=files,
        file_bytes=size,
        log_bytes=_folder(_session(service) / "logs", skip="")[1],
    )


def _session(service: Service) -> Path:
    """Ray's folder of this service; another service on the machine has another."""
    for process in service.process.children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            found = re.search(r"[^ =]*/session_[\w-]+", " ".join(process.cmdline()))
            if found:
                return Path(found.group())
    raise RuntimeError("no process of Ray names its session's folder")


def _folder(root: Path, skip: str) -> tuple[int, int]:
    count = size = 0
    for folder, folders, names in os.walk(root):
        if skip in folders:
            folders.remove(skip)
        for name in names:
            with suppress(FileNotFoundError):
                size += os.stat(os.path.join(folder, name), follow_symlinks=False).st_size
                count += 1
    return count, size
