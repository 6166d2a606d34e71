"""A database that goes away and comes back: a TCP proxy in front of it that can be cut, slow or silent."""

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import make_url

_CANCEL_REQUEST = struct.pack("!ii", 16, 80877102)
TERMINATE_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


class Proxy:
    """Forwards to a database. ``cut`` refuses connections; ``silence`` accepts them and sends nothing.

    ``delay_seconds`` is how late each message arrives, and ``cancel_requests`` how many of them came.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_silent = False
        self._left: int | None = None
        self._left_of_answer: int | None = None
        self._cut_at: tuple[bytes, int] | None = None
        self._asking, self._answering = asyncio.Event(), asyncio.Event()
        self.holding = asyncio.Event()
        self._held: bytes | None = None
        self.delay_seconds = 0.0
        self.cancel_requests = 0
        self.port = 0
        self.thaw()

    async def connect(self) -> None:
        """Forward, from the same port as before."""
        self._is_silent = False
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Close every connection and the port."""
        if self._server is not None:
            self._server.close()
        await self._close_connections()

    def freeze(self) -> None:
        """Keep every connection, and forward nothing more until `thaw`."""
        self._asking.clear()
        self.hold_answers()

    def hold_answers(self) -> None:
        """Forward requests, and no answer until `thaw`; ``holding`` is set at the first answer."""
        self._answering.clear()

    def cut_after(self, count: int) -> None:
        """Forward ``count`` more bytes of requests, and then close that connection, but not later ones."""
        self._left = count

    def cut_at(self, message: bytes, count: int) -> None:
        """Forward ``count`` bytes of the next ``message`` and its answer, and then close that connection."""
        self._cut_at = message, count

    def hold_answers_to(self, message: bytes) -> None:
        """Forward everything up to a request that contains ``message``, and then no answer until `thaw`."""
        self._held = message

    def thaw(self) -> None:
        self._held = None
        self.holding.clear()
        self._asking.set()
        self._answering.set()

    async def silence(self) -> None:
        """Close every connection; accept new ones, and send nothing. None is refused meanwhile."""
        self._is_silent = True
        await self._close_connections()

    async def _close_connections(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._is_silent:
                await asyncio.Event().wait()
            await self._forward(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        try:
            await asyncio.gather(
                self._copy(reader, back, self._asking), self._copy(there, writer, self._answering)
            )
        finally:
            back.transport.abort()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event
    ) -> None:
        while received := await reader.read(65_536):
            if flowing is self._answering and not flowing.is_set():
                self.holding.set()
            elif flowing is self._asking and self._held is not None and self._held in received:
                self.hold_answers()
            self.cancel_requests += received.startswith(_CANCEL_REQUEST)
            await asyncio.sleep(self.delay_seconds)
            await flowing.wait()
            if flowing is self._asking:
                self._find_cut(received)
                received, self._left = _first(received, self._left)
                is_cut = self._left == 0
            else:
                received, self._left_of_answer = _first(received, self._left_of_answer)
                is_cut = self._left_of_answer == 0
            writer.write(received)
            await writer.drain()
            if is_cut:
                self._left = self._left_of_answer = None
                break
        writer.close()

    def _find_cut(self, received: bytes) -> None:
        if self._cut_at is None or self._cut_at[0] not in received:
            return
        (message, count), self._cut_at = self._cut_at, None
        end = received.index(message) + len(message)
        if count <= len(message):
            self._left = end - len(message) + count
        else:
            self._left_of_answer = count - len(message)


def _first(received: bytes, count: int | None) -> tuple[bytes, int | None]:
    """The first bytes, and how many of the count are left."""
    if count is None:
        return received, None
    return received[:count], max(count - len(received), 0)


@asynccontextmanager
async def proxied(database_url: str) -> AsyncGenerator[tuple[str, Proxy]]:
    """The database's address behind a proxy, and the proxy."""
    url = make_url(database_url)
    proxy = Proxy(url.host or "127.0.0.1", url.port or 5432)
    await proxy.connect()
    behind = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
    try:
        yield behind, proxy
    finally:
        await proxy.cut()
