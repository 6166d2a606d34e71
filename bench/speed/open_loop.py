"""Sends requests when they are due, even if earlier ones are unanswered. Prints JSON.

A request's time runs from when it was due. If every connection is busy, the request waits for one, and the
wait counts; otherwise a slow server would get fewer requests and look better than it is. A refusal's time
runs from when the request was sent. A request that gets no connection before the end is never sent.
"""

import argparse
import asyncio
import gc
import itertools
import json
import random
import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

import uvloop

NUMBER = b"#" * 16
TICK_SECONDS = 0.001
LATE_SECONDS = 2.0  # how long late answers are awaited at the end
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class Load:
    """With ``rate`` 0, a request is due whenever a connection is free."""

    def __init__(self, requests: Sequence[bytes], rate: float) -> None:
        self._requests = requests
        self._rate = rate
        self._numbers = itertools.count(random.randrange(10**8) * 10**8)
        self._loop = asyncio.get_running_loop()
        self._free: deque[Connection] = deque()
        self._began = self._until = 0.0
        self.sent = self.failed = 0
        self.good: list[float] = []
        self.refused: list[float] = []

    def begin(self, seconds: float) -> None:
        self._began = self._loop.time()
        self._until = self._began + seconds
        self.send()

    def is_free(self, connection: "Connection") -> None:
        self._free.append(connection)
        self.send()

    def send(self) -> None:
        """Send the requests that are due, as long as connections are free."""
        now = self._loop.time()
        while self._free and now < self._until:
            due = self._began + self.sent / self._rate if self._rate else now
            if due > now:
                return
            request = random.choice(self._requests)
            if NUMBER in request:
                request = request.replace(NUMBER, b"%016d" % next(self._numbers))
            self._free.popleft().ask(request, due)
            self.sent += 1

    def answered(self, connection: "Connection", head: bytes, due: float, asked: float) -> None:
        now = self._loop.time()
        status = head[9:12]
        if status.startswith(b"2"):
            self.good.append(now - due)
        elif status == b"503" and b"\r\nretry-after:" in head.lower():
            self.refused.append(now - asked)
        else:
            self.failed += 1
        self.is_free(connection)


class Connection(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self._load = load
        self._received = b""
        self._due: float | None = None
        self._asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._load.is_free(self)

    def ask(self, request: bytes, due: float) -> None:
        self._due, self._asked = due, asyncio.get_running_loop().time()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(_HEAD_END)
        if end < 0 or self._due is None:
            return
        head = self._received[:end]
        length = _LENGTH.search(head)
        if length is None:
            raise ValueError(f"The answer has no Content-Length: {head!r}")
        if len(self._received) < end + len(_HEAD_END) + int(length[1]):
            return
        due, self._due, self._received = self._due, None, b""
        self._load.answered(self, head, due, self._asked)

    def connection_lost(self, _problem: Exception | None) -> None:
        if self._due is not None:
            self._load.failed += 1


async def offer(
    url: str, of_kind: Sequence[bytes], *, rate: float, seconds: float, connections: int
) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    address = urlsplit(url)
    load = Load(of_kind, rate)
    transports = []
    for _ in range(connections):
        transport, _ = await loop.create_connection(lambda: Connection(load), address.hostname, address.port)
        transports.append(transport)
    gc.freeze()  # a pause of this process would look like one of the server
    began = loop.time()
    load.begin(seconds)
    while loop.time() < began + seconds:
        load.send()
        await asyncio.sleep(TICK_SECONDS)
    taken = loop.time() - began
    sent, good = load.sent, len(load.good)
    until = loop.time() + LATE_SECONDS
    while len(load.good) + len(load.refused) + load.failed < sent and loop.time() < until:  # noqa: ASYNC110 - polled, so that the receiver has no more work
        await asyncio.sleep(0.01)
    for transport in transports:
        transport.abort()
    return {
        "offered": rate or sent / taken,
        "sent": sent / taken,
        "good": good / taken,
        "refused": len(load.refused) / taken,
        "failed": sent - len(load.good) - len(load.refused),
        "good_p50": _percentile(load.good, 50),
        "good_p99": _percentile(load.good, 99),
        "refused_p99": _percentile(load.refused, 99),
    }


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1] if len(values) > 1 else 0.0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, required=True)
    given = vars(parser.parse_args())
    requests = given.pop("file").read_bytes().split(b"\0")
    print(json.dumps(uvloop.run(offer(given.pop("url"), requests, **given))))
