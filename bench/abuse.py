"""What a neighbour notices of floods by clients that nobody knows: bounded, and on loopback only.

Run it from the root of the repository: `.venv/bin/python bench/abuse.py --seconds 5`.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import os
import re
import resource
import string
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Final

import httpx
from speed.servers import Server, hoc_serve

from hoc.cus.account.L2_api.authentication import DevelopmentKeys
from hoc.embedded import DataDirectory

NEIGHBOURS: Final = 32
FLOODERS: Final = 20
HALVES: Final = 400
MAX_CONNECTIONS: Final = 256
KEYS: Final = 8_683
MEBIBYTE: Final = 2**20
FLOOD_BYTES: Final = 30 * MEBIBYTE
WITHIN: Final = 3  # times the neighbour's p50 without a flood

_ACCEPT: Final = "/accounts/invitations/x/accept"
_PIECE: Final = b"".join(b"X-%07d: b\r\n" % number for number in range(4_096))
_NAMES: Final = map(
    "".join,
    itertools.chain(*(itertools.product(string.ascii_letters + string.digits, repeat=n) for n in (1, 2, 3))),
)
_UNKNOWN: Final = json.dumps(dict.fromkeys(itertools.islice(_NAMES, KEYS), 1), separators=(",", ":")).encode()


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="hoc-bench-", dir=options.directory) as name:
        place = Path(name)
        place.chmod(0o711)  # PostgreSQL, which runs as another user, must traverse it
        settings = {"max_connections": str(MAX_CONNECTIONS), "development": "true"}
        with hoc_serve(place / "data", **settings) as server:
            profile = _profile(server, place / "data")
            _, failed = _neighbour(server, profile, 2)  # warms up
            if failed:
                raise SystemExit(f"The neighbour's own requests fail: {failed} of them.")
            columns = f"{'ratio':>8}{'+ MiB':>8}{'refused':>9}{'failed':>8}"
            print(f"{'':16}{'p50 alone, ms':>15}{'flooded, ms':>13}{columns}")
            for flood in FLOODS:
                _row(server, profile, flood, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="of each flood, and of the time before it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", help="directory for temporary files")
    return parser.parse_args()


def _profile(server: Server, data: Path) -> bytes:
    """Create an account, and return the request that reads it."""
    token = DevelopmentKeys(DataDirectory(data).development_key).issue("bench", scopes=["accounts:admin"])
    headers = {"Authorization": f"Bearer {token}"}
    account = {"user_id": "neighbour", "email": "neighbour@example.com", "name": "Neighbour"}
    answer = httpx.post(f"{server.url}/api/v1/accounts/ensure", json=account, headers=headers)
    answer.raise_for_status()
    lines = [
        "GET /api/v1/accounts/profile/neighbour HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def _row(server: Server, profile: bytes, flood: str, options: argparse.Namespace) -> None:
    rounds = [_round(server, profile, flood, options.seconds) for _ in range(options.rounds)]
    alone, flooded, grown, refused, failed = zip(*rounds, strict=True)
    ratio = median(two / one for one, two in zip(alone, flooded, strict=True))
    missed = f"  more than {WITHIN}" if ratio > WITHIN else ""
    print(
        f"{flood:16}{median(alone) * 1_000:15.2f}{median(flooded) * 1_000:13.2f}{ratio:8.2f}"
        f"{max(grown):8.0f}{sum(refused):9}{sum(failed):8}{missed}",
        flush=True,
    )


def _round(
    server: Server, profile: bytes, flood: str, seconds: float
) -> tuple[float, float, float, int, int]:
    """Return the neighbour's p50 without and with the flood, the MiB it took, the refused and the failed."""
    alone, _ = _neighbour(server, profile, seconds)
    refused = _refused(server)
    before = server.process.memory_info().rss
    flooding = multiprocessing.get_context("spawn").Process(
        target=_flood, args=(flood, _port(server), seconds + 2)
    )
    flooding.start()
    time.sleep(1)  # until it floods
    flooded, failed = _neighbour(server, profile, seconds)
    grown = (server.process.memory_info().rss - before) / MEBIBYTE
    flooding.join()
    return alone, flooded, grown, _refused(server) - refused, failed


def _refused(server: Server) -> int:
    """Return how many requests the server refused: those of the protocol, and accepts with bad bodies."""
    counts = re.findall(
        r"^hoc_http_(?:requests_refused_total|request_duration_seconds_count){"
        r'(?:reason|method="POST",route="[^"]+/accept",status="400").*} ([0-9.]+)$',
        httpx.get(f"{server.url}/metrics").text,
        re.MULTILINE,
    )
    return round(sum(map(float, counts)))


def _port(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


# The neighbour


def _neighbour(server: Server, request: bytes, seconds: float) -> tuple[float, int]:
    """Return the p50 of reading a profile on several connections, in seconds, and how many reads failed.

    A connection that the server closed while idle is opened again, as HTTP clients do.
    """
    times: list[float] = []
    failures: list[Exception] = []

    async def read_often() -> None:
        until = time.monotonic() + seconds
        writer = None
        while time.monotonic() < until:
            started = time.perf_counter()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", _port(server))
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
                if not head.startswith(b"HTTP/1.1 200"):
                    failures.append(RuntimeError(head.decode()))
                times.append(time.perf_counter() - started)
            except (OSError, asyncio.IncompleteReadError) as problem:
                if writer is None:
                    failures.append(problem)
                else:
                    writer.close()
                writer = None

    async def all_read() -> None:
        await asyncio.gather(*(read_often() for _ in range(NEIGHBOURS)))

    asyncio.run(all_read())
    return median(times), len(failures)


# The floods, in a process of their own


def _flood(name: str, port: int, seconds: float) -> None:
    os.nice(10)  # on one machine, the flood must not take the time of the server and the neighbour
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * HALVES + 100), most))
    many, flood = FLOODS[name]

    async def repeat() -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                await flood(port)

    async def all_flood() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(repeat() for _ in range(many)))

    asyncio.run(all_flood())


async def _headers(port: int) -> None:
    """Send two million small fields, until the server closes."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: a\r\n")
    for _ in range(FLOOD_BYTES // len(_PIECE)):
        writer.write(_PIECE)
        await writer.drain()
    writer.close()


async def _half(port: int, sent: bytes) -> None:
    """Send a part, wait until the server closes, and begin again a moment later."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await reader.read()
    writer.close()
    await asyncio.sleep(0.5)


async def _half_request(port: int) -> None:
    await _half(port, b"GET /health/live HT")


async def _half_body(port: int) -> None:
    head = (
        f"POST {_ACCEPT} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    )
    await _half(port, head.encode() + b"{")


async def _keys(port: int) -> None:
    """Send bodies of 8,683 unknown keys on one connection, each after the answer to the one before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {_ACCEPT} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(_UNKNOWN)}\r\n\r\n".encode() + _UNKNOWN
    while True:
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))


FLOODS: Final[dict[str, tuple[int, Callable[[int], Awaitable[None]]]]] = {
    "headers": (FLOODERS, _headers),
    "half requests": (HALVES, _half_request),
    "half bodies": (HALVES, _half_body),
    "unknown keys": (FLOODERS, _keys),
}


if __name__ == "__main__":
    main()
