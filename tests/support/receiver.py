"""A real receiver of webhooks on loopback: it keeps what it is sent, and answers as a test says."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

Answer = Callable[["Received"], int | bytes | Awaitable[int | bytes]]


@dataclass(frozen=True, slots=True)
class Received:
    """A request: its target, its headers with names in lower case, and its body."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = orjson.loads(self.body)
        return event

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(slots=True)
class Receiver:
    """``answer`` gives a status, or all bytes of an answer. ``at_once`` is how many requests overlapped."""

    answer: Answer
    port: int = 0
    scheme: str = "http"
    requests: list[Received] = field(default_factory=list[Received])
    connections: int = 0
    under_way: int = 0
    at_once: int = 0

    def url(self, host: str = "127.0.0.1", path: str = "/hook") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    @property
    def ids(self) -> list[str]:
        return [each.event_id for each in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        received = Received(
            head[0].split(" ")[1], headers, await reader.readexactly(int(headers["content-length"]))
        )
        self.requests.append(received)
        self.under_way += 1
        self.at_once = max(self.at_once, self.under_way)
        try:
            answer = self.answer(received)
            given = answer if isinstance(answer, int | bytes) else await answer
        finally:
            self.under_way -= 1
        if isinstance(given, bytes):
            writer.write(given)
            await writer.drain()
            return False
        writer.write(f"HTTP/1.1 {given} Said\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        return True


@asynccontextmanager
async def receiver(
    answer: Answer = lambda _received: 204,
    *,
    tls: ssl.SSLContext | None = None,
    address: str = "127.0.0.1",
    port: int = 0,
) -> AsyncGenerator[Receiver]:
    """Take webhooks until the end of the block."""
    taking = Receiver(answer, scheme="http" if tls is None else "https")
    server = await asyncio.start_server(taking.serve, address, port, ssl=tls)
    taking.port = server.sockets[0].getsockname()[1]
    try:
        yield taking
    finally:
        server.close()
