"""nats-py's client, made to read whatever bytes publishers have put into a message."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from types import FunctionType
from typing import Any, Final

import orjson
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser

from hoc.events.nats_access import UserKey

_VERSION: Final = b"NATS/1.0"

# nats-py's own patterns end a subject at a form feed, which nats-server takes for a part of the subject. The
# client would then lose the connection.
_WORDS: Final = rb" ([^ \t\r\n]+) (\d+) (([^ \t\r\n]+) )?"
_PATTERNS: Final = {
    "MSG_RE": re.compile(rb"\AMSG" + _WORDS + rb"(\d+)\r\n"),
    "HMSG_RE": re.compile(rb"\AHMSG" + _WORDS + rb"(\d+) (\d+)\r\n"),
}
_parse: Any = FunctionType(Parser.parse.__code__, Parser.parse.__globals__ | _PATTERNS)


class _Parser(Parser):
    async def parse(self, data: bytes = b"") -> None:
        await _parse(self, data)


class TolerantClient(Client):
    """Reads every message. nats-py stops reading at one whose subject or status is not UTF-8."""

    def __init__(self, key: Callable[[], UserKey | None] = lambda: None) -> None:
        super().__init__()
        self._ps = _Parser(self)
        self._key = key

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        """Close within a second: after a failed TLS handshake, asyncio never calls a connection closed."""
        transport: Any = self._transport
        if isinstance(transport, TcpTransport):
            transport.wait_closed = partial(_within_a_second, transport.wait_closed)  # type: ignore[method-assign]
        await super()._close(status, do_cbs)

    def _connect_command(self) -> bytes:
        """Prove to have the key, as it is now. nats-py needs another library for that."""
        command = super()._connect_command()
        key = self._key()
        if key is None:
            return command
        name, _, options = command.partition(b" ")
        nonce = str(self._server_info.get("nonce", ""))
        return name + b" " + orjson.dumps(orjson.loads(options) | key.answer(nonce)) + b"\r\n"

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None
    ) -> None:
        if reply.startswith(b"$JS.ACK."):
            subject = subject.decode(errors="replace").encode()
            headers = _without_status(headers) if headers else headers
        await super()._process_msg(sid, subject, reply, data, headers)  # type: ignore[arg-type] # it takes None


async def _within_a_second(wait: Callable[[], Awaitable[object]]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await wait()


def _without_status(headers: bytes) -> bytes:
    """A message's headers without what its publisher wrote where the server writes a status."""
    first, separator, others = headers.partition(b"\r\n")
    return first[: len(_VERSION)] + separator + others
