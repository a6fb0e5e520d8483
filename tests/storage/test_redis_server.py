"""Our own Redis: one a folder, durable, gone with its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from storage import redis_keys
from storage.errors import StoreUnavailable
from storage.jobs import JobState
from storage.lease_keeper import LeaseKeeper
from storage.redis_connection import SOCKET_TIMEOUT_S, RedisConnection
from storage.redis_jobs import RedisJobs
from storage.redis_queue import RedisQueue
from storage.redis_server import RedisServerError, find_binary, start_redis
from tests.storage.samples import Store, until


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_accepted_jobs_survive_kill_9(tmp_path: Path) -> None:
    with start_redis(tmp_path) as first:
        connection = RedisConnection(first.url)
        store = Store(first.url, connection, RedisJobs(connection), RedisQueue(connection))
        started = await store.started("one")
        waiting = [await store.enqueued() for _ in range(20)]
        # As if Redis were away for long: the lease has run out by the time it is back.
        await connection.client.xclaim(
            redis_keys.QUEUE, redis_keys.GROUP, "one", 0, [started.delivery.entry_id], idle=3_600_000
        )
        os.kill(first.pid, signal.SIGKILL)
        first.stop()
    with (
        start_redis(tmp_path, first.port) as second,
        LeaseKeeper(second.url, "one", lease_s=2.0) as keeper,
    ):
        assert second.url == first.url
        keeper.add(started.delivery)
        assert await store.queue.reclaim("two", 60_000) == []  # the living runner goes first
        assert (await store.jobs.metrics()).waiting == 20
        assert [(await store.taken("two")).job_id for _ in waiting] == waiting
        assert (await store.committed(started)).state is JobState.READY
        await connection.close()


async def test_clients_go_on_after_a_restart(tmp_path: Path) -> None:
    with start_redis(tmp_path) as server:
        connection = RedisConnection(server.url)
        store = Store(server.url, connection, RedisJobs(connection), RedisQueue(connection))
        job_id = await store.uploaded()
    with start_redis(tmp_path, server.port):
        assert (await store.jobs.get(job_id)).id == job_id
        await store.enqueued(job_id)
        await connection.close()


async def test_revived_server_has_its_address_and_its_jobs(tmp_path: Path) -> None:
    with start_redis(tmp_path) as server:
        connection = RedisConnection(server.url)
        store = Store(server.url, connection, RedisJobs(connection), RedisQueue(connection))
        url, job_id = server.url, await store.uploaded()
        assert not server.revive()
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: not server.running)
        assert server.revive() and server.running and server.url == url
        assert (await store.jobs.get(job_id)).id == job_id
        await connection.close()


async def test_server_that_hangs_is_told_after_one_timeout(tmp_path: Path) -> None:
    with start_redis(tmp_path) as server:
        connection = RedisConnection(server.url)
        jobs = RedisJobs(connection)
        await jobs.ping()
        os.kill(server.pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            with pytest.raises(StoreUnavailable):
                await jobs.ping()
            assert time.monotonic() - began < 1.5 * SOCKET_TIMEOUT_S
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await jobs.ping()
        await connection.close()


def test_stop_ends_the_server_and_may_be_repeated(tmp_path: Path) -> None:
    server = start_redis(tmp_path)
    assert server.running
    server.stop()
    server.stop()
    assert not server.running
    assert not alive(server.pid)


def test_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with start_redis(tmp_path), pytest.raises(RedisServerError, match="already runs"):
        start_redis(tmp_path)
    start_redis(tmp_path).stop()


def test_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(RedisServerError, match="Address already in use"):
            start_redis(tmp_path, listener.getsockname()[1])


def test_missing_binary_is_told_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("storage.redis_server.find_spec", lambda name: None)
    with pytest.raises(RedisServerError, match="REDIS_URL"):
        find_binary()


def test_server_needs_its_password_and_listens_on_loopback_only(tmp_path: Path) -> None:
    with start_redis(tmp_path) as server:
        with (
            redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()
        with redis.Redis.from_url(server.url) as own:
            assert own.config_get("bind")["bind"] == "127.0.0.1"
            assert own.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
            assert own.config_get("appendonly")["appendonly"] == "yes"
        for secret in ("password", "redis.conf"):
            assert (tmp_path / ".redis" / secret).stat().st_mode & 0o077 == 0


def test_a_password_that_a_crash_left_empty_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / ".redis" / "password"
    path.parent.mkdir()
    path.touch()
    with start_redis(tmp_path) as server:
        assert server.running and path.read_text() and path.read_text() in server.url
        assert path.stat().st_mode & 0o077 == 0


def test_a_password_that_is_not_safe_on_the_disk_has_no_name_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(descriptor: int) -> None:
        raise OSError("the machine is off")

    with monkeypatch.context() as crashing:
        crashing.setattr("storage.redis_server.os.fsync", crash)
        with pytest.raises(OSError, match="is off"):
            start_redis(tmp_path)
    assert not (tmp_path / ".redis" / "password").exists()
    start_redis(tmp_path).stop()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_server_ends_with_a_killed_parent_and_not_with_a_ctrl_c(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom storage.redis_server import start_redis\n"
        "print(start_redis(sys.argv[1]).pid, flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert os.getsid(pid) == pid  # a session of its own: no signal from the terminal
        assert alive(pid)
        parent.kill()
    deadline = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < deadline, "Redis outlived its parent"
        time.sleep(0.01)


async def test_keeper_that_found_no_redis_beats_when_it_is_back(tmp_path: Path) -> None:
    with start_redis(tmp_path) as server:
        connection = RedisConnection(server.url)
        store = Store(server.url, connection, RedisJobs(connection), RedisQueue(connection))
        started = await store.started("one")
        await connection.client.xclaim(
            redis_keys.QUEUE, redis_keys.GROUP, "one", 0, [started.delivery.entry_id], idle=3_600_000
        )
    with LeaseKeeper(server.url, "one", lease_s=0.3) as keeper:
        keeper.add(started.delivery)
        with start_redis(tmp_path, server.port):

            async def fresh() -> bool:
                pending = await connection.client.xpending_range(
                    redis_keys.QUEUE, redis_keys.GROUP, "-", "+", 1
                )
                return int(pending[0]["time_since_delivered"]) < 60_000

            await until(fresh)
            assert not keeper.lost(started.delivery)
            await connection.close()
