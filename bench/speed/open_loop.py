"""Sends requests when they are due, whether or not those before were answered.

A request's time runs from when it was due. One that finds every connection busy waits for the next that is
free, and its waiting counts: else a slow server would be asked less, and look better than it is. Prints JSON.
"""

import argparse
import asyncio
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
LATE_SECONDS = 2.0  # for which answers are awaited when the last request has been due
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class Load:
    def __init__(self, requests: Sequence[bytes]) -> None:
        self._requests = requests
        self._numbers = itertools.count(random.randrange(10**8) * 10**8)
        self._loop = asyncio.get_running_loop()
        self._free: deque[Connection] = deque()
        self._waiting: deque[float] = deque()
        self.again = False
        self.due = self.sent = self.failed = 0
        self.good: list[float] = []
        self.refused: list[float] = []

    def add(self, due: float) -> None:
        """A request that is due at that time of the loop's clock."""
        self.due += 1
        self._waiting.append(due)
        self._send()

    def is_free(self, connection: "Connection") -> None:
        self._free.append(connection)
        self._send()

    def answered(self, connection: "Connection", head: bytes, due: float) -> None:
        seconds = self._loop.time() - due
        status = head[9:12]
        if status.startswith(b"2"):
            self.good.append(seconds)
        elif status == b"503" and b"\r\nretry-after:" in head.lower():
            self.refused.append(seconds)
        else:
            self.failed += 1
        self.is_free(connection)
        if self.again:
            self.add(self._loop.time())

    def _send(self) -> None:
        while self._waiting and self._free:
            request = random.choice(self._requests)
            if NUMBER in request:
                request = request.replace(NUMBER, b"%016d" % next(self._numbers))
            self._free.popleft().ask(request, self._waiting.popleft())
            self.sent += 1


class Connection(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self._load = load
        self._received = b""
        self._due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._load.is_free(self)

    def ask(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(_HEAD_END)
        if end < 0 or self._due is None:
            return
        head = self._received[:end]
        length = _LENGTH.search(head)
        if length is None:
            raise ValueError(f"an answer without a length: {head!r}")
        if len(self._received) < end + len(_HEAD_END) + int(length[1]):
            return
        due, self._due, self._received = self._due, None, b""
        self._load.answered(self, head, due)

    def connection_lost(self, _problem: Exception | None) -> None:
        if self._due is not None:
            self._load.failed += 1


async def offer(
    url: str, of_kind: Sequence[bytes], *, rate: float, seconds: float, connections: int
) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    address = urlsplit(url)
    load = Load(of_kind)
    transports = []
    for _ in range(connections):
        transport, _ = await loop.create_connection(lambda: Connection(load), address.hostname, address.port)
        transports.append(transport)
    began = loop.time()
    if rate:
        while load.due < rate * seconds:
            while load.due < min(rate * (loop.time() - began), rate * seconds):
                load.add(began + load.due / rate)
            await asyncio.sleep(TICK_SECONDS)
    else:
        load.again = True
        for _ in range(connections):
            load.add(loop.time())
        await asyncio.sleep(seconds)
        load.again = False
    taken = loop.time() - began
    sent, due, good = load.sent, load.due, len(load.good)
    until = loop.time() + LATE_SECONDS
    while len(load.good) + len(load.refused) + load.failed < due and loop.time() < until:  # noqa: ASYNC110 - polled, so that receiving does nothing more
        await asyncio.sleep(0.01)
    for transport in transports:
        transport.abort()
    return {
        "offered": due / taken,
        "sent": sent / taken,
        "good": good / taken,
        "refused": len(load.refused) / taken,
        "failed": due - len(load.good) - len(load.refused),
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
