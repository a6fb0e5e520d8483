"""A connection that breaks after the server did the work and before its answer arrived."""

from __future__ import annotations

import asyncio
import contextlib


class LosingProxy:
    """Stands before a server; swallows the next answer and cuts the connection when told to."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.lose_next = False
        self.lost = 0
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        self._server.close()
        for connection in self._serving:  # clients keep some open
            connection.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        asking = asyncio.create_task(self._ask(reader, to_server))
        try:
            with contextlib.suppress(ConnectionError):
                while data := await from_server.read(1 << 16):
                    if self.lose_next:
                        self.lose_next = False
                        self.lost += 1
                        break
                    writer.write(data)
        finally:
            for side in (writer, to_server):
                side.close()
                with contextlib.suppress(ConnectionError):
                    await side.wait_closed()
            await asking

    async def _ask(self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                to_server.write(data)
        to_server.close()
