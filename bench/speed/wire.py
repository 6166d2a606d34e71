"""Counts the statements that a server sends to PostgreSQL: a proxy that reads the messages between them."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_HEADER: Final = 5  # a message's type and length
_EXECUTES: Final = (b"E", b"Q")
"""Execute, of the extended query protocol, and Query."""
_ASKS_FOR_TLS: Final = (8).to_bytes(4) + (80877103).to_bytes(4)
"""SSLRequest (https://www.postgresql.org/docs/current/protocol-message-formats.html)."""


@dataclass(slots=True)
class Counter:
    """``url`` is the database's, by way of the proxy."""

    url: str
    statements: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    async def _serve(
        self, client: asyncio.StreamReader, answers: asyncio.StreamWriter, host: str, port: int
    ) -> None:
        server, asked = await asyncio.open_connection(host, port)
        back = asyncio.ensure_future(_copy(server, answers))
        with suppress(asyncio.IncompleteReadError, OSError):
            start = await _first_message(client)
            if start == _ASKS_FOR_TLS:
                answers.write(b"N")
                start = await _first_message(client)
            asked.write(start)
            while True:
                head = await client.readexactly(_HEADER)
                self.statements += head[:1] in _EXECUTES
                asked.write(head + await client.readexactly(int.from_bytes(head[1:]) - 4))
        asked.close()
        with suppress(OSError):
            await back


async def _first_message(client: asyncio.StreamReader) -> bytes:
    """A message with a length and no type."""
    length = await client.readexactly(4)
    return length + await client.readexactly(int.from_bytes(length) - 4)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(2**16):
        target.write(data)
    target.close()


@contextmanager
def counted(url: str) -> Generator[Counter]:
    """A proxy to the database of ``url``, during the block. It refuses TLS."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 5432
    counter = Counter("")
    loop = counter._loop  # noqa: SLF001 - its own module's
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(lambda *streams: counter._serve(*streams, host, port), "127.0.0.1")  # noqa: SLF001 - see above

    listening = asyncio.run_coroutine_threadsafe(listen(), loop).result()
    login = parts.netloc.rpartition("@")[0]
    own_port = listening.sockets[0].getsockname()[1]
    counter.url = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{own_port}"))
    try:
        yield counter
    finally:
        loop.call_soon_threadsafe(listening.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
