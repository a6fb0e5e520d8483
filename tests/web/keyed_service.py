"""The API and the page over real HTTP with settings of a test's own; stages answer at once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from deployments.http.api import create_api
from settings import Settings
from storage.errors import StoreUnavailable
from tests.deployments.http.small_service import SmallService


class KeyedService:
    """A running one. While `paused` is set no queued job is taken. `port` 0: a free one."""

    def __init__(self, settings: Settings, port: int = 0) -> None:
        self._settings = settings
        self.paused = threading.Event()
        self._stop = threading.Event()
        self._wanted_port, self._port = port, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @contextmanager
    def started(self) -> Iterator[KeyedService]:
        thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        thread.start()
        try:
            deadline = time.monotonic() + 20
            while not self._port:
                assert thread.is_alive() and time.monotonic() < deadline, "the service does not start"
                time.sleep(0.01)
            yield self
        finally:
            self._stop.set()
            thread.join(20)
            assert not thread.is_alive()

    async def _serve(self) -> None:
        backend = SmallService(self._settings)
        config = uvicorn.Config(
            create_api(backend),
            port=self._wanted_port,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
        )
        config.timeout_graceful_shutdown = 1  # a browser keeps its connections open
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        self._port = server.servers[0].sockets[0].getsockname()[1]
        with contextlib.suppress(asyncio.CancelledError):
            while not self._stop.is_set():
                taken = False
                with contextlib.suppress(StoreUnavailable):  # the next look may be answered
                    taken = not self.paused.is_set() and await backend.run_one()
                if not taken:
                    await asyncio.sleep(0.02)
        server.should_exit = True
        await serving
        await backend.close()
