"""nats-py's client, made to read whatever bytes publishers have put into a message."""

import re
from types import FunctionType
from typing import Any, Final

from nats.aio.client import Client
from nats.protocol.parser import Parser

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

    def __init__(self) -> None:
        super().__init__()
        self._ps = _Parser(self)

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None
    ) -> None:
        if reply.startswith(b"$JS.ACK."):
            subject = subject.decode(errors="replace").encode()
            headers = _without_status(headers) if headers else headers
        await super()._process_msg(sid, subject, reply, data, headers)  # type: ignore[arg-type] # it takes None


def _without_status(headers: bytes) -> bytes:
    """A message's headers without what its publisher wrote where the server writes a status."""
    first, separator, others = headers.partition(b"\r\n")
    return first[: len(_VERSION)] + separator + others
