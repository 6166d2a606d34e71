"""Load generators: wrk and pgbench, as fast as answers come; the open-loop generator, at a given rate."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import orjson

CONNECTIONS: Final = 32
NUMBER: Final = "#" * 16  # a placeholder; each request gets a number of its own
WARM_UP_SECONDS: Final = 1.0
_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Request:
    """With a ``cookie``, it is a browser's."""

    method: str
    path: str
    token: str | None = None
    body: Any = None
    cookie: str | None = None

    def headers(self) -> dict[str, str]:
        given = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        if self.cookie is not None:
            given |= {"Cookie": self.cookie, "Accept": "text/html"}
        return given if self.body is None else given | {"Content-Type": "application/json"}

    def encoded(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers().items()]
        body = b""
        if self.body is not None:
            body = orjson.dumps(self.body)
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of one kind to send to one server, in random order."""

    url: str
    of_kind: Sequence[Request]
    file: Path

    def __post_init__(self) -> None:
        self.file.write_bytes(b"\0".join(request.encoded() for request in self.of_kind))

    def answer(self) -> httpx.Response:
        """Send the first request and return the answer; HTTPStatusError for an error status."""
        request = self.of_kind[0]
        content = orjson.dumps(request.body).replace(NUMBER.encode(), _salt().ljust(16, "0").encode())
        return httpx.request(
            request.method,
            self.url + request.path,
            headers=request.headers(),
            content=None if request.body is None else content,
            timeout=60,
        ).raise_for_status()


@dataclass(frozen=True, slots=True)
class Measured:
    """``rate`` is per second; times are in seconds."""

    rate: float
    p50: float = 0.0
    p99: float = 0.0


def wrk(requests: Requests, seconds: float, *, connections: int = CONNECTIONS) -> Measured:
    """Measure by wrk; RuntimeError if a request failed, because fast refusals would look like speed."""
    command = [
        "wrk",
        "--threads",
        "1",
        "--connections",
        str(connections),
        "--duration",
        f"{max(1, round(seconds))}s",
    ]
    command += ["--timeout", "30s", "--script", str(_HERE / "load.lua"), requests.url]
    command += ["--", str(requests.file), _salt()]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=seconds + 60)
    found = json.loads(done.stdout.splitlines()[-1])
    if found["failed"]:
        raise RuntimeError(f"{found['failed']} of {found['requests']} failed: {requests.of_kind[0]}")
    return Measured(found["requests"] / found["seconds"], found["p50"], found["p99"])


def pgbench(url: str, script: Path, seconds: float) -> Measured:
    """Measure by pgbench, with prepared statements and as many connections as wrk."""
    parts = urlsplit(url)
    command = ["pgbench", "--no-vacuum", "--protocol=prepared", f"--client={CONNECTIONS}", "--jobs=2"]
    command += [f"--time={max(1, round(seconds))}", f"--file={script}", f"--host={parts.hostname}"]
    command += [f"--port={parts.port}", f"--username={parts.username}", parts.path.removeprefix("/")]
    environment = os.environ | {"PGPASSWORD": parts.password or ""}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=seconds + 60
    )
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if done.returncode or found is None:
        raise RuntimeError(f"pgbench: {done.stdout}{done.stderr}")
    return Measured(float(found[1]))


@dataclass(frozen=True, slots=True)
class Offered:
    """The outcome of requests at a given rate, each number per second.

    ``refused`` counts answers with 503 and Retry-After. ``failed`` is the total of sent requests that got
    neither such an answer nor a good one, not even two seconds later. Times are in seconds: a good answer's
    from when its request was due, a refusal's from when its request was sent.
    """

    offered: float
    sent: float
    good: float
    refused: float
    failed: int
    good_p50: float
    good_p99: float
    refused_p99: float


def offer(requests: Requests, rate: float, seconds: float, *, connections: int) -> Offered:
    """Send requests at that rate, whatever the answers; at rate 0 as fast as answers come."""
    command = [sys.executable, str(_HERE / "open_loop.py"), requests.url, str(requests.file)]
    command += [f"--rate={rate}", f"--seconds={seconds}", f"--connections={connections}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=seconds + 60)
    return Offered(**json.loads(done.stdout))


def one_at_a_time(requests: Requests, seconds: float) -> Measured:
    found = offer(requests, 0, seconds, connections=1)
    if found.failed or not found.good:
        raise RuntimeError(f"{found.failed} requests failed: {requests.of_kind[0]}")
    return Measured(found.good)


@dataclass(frozen=True, slots=True)
class Side:
    """A participant in a contest. ``settle`` waits until its background work is done."""

    name: str
    measure: Callable[[float], Measured]
    settle: Callable[[], None] = field(default=lambda: None)


def contest(sides: Sequence[Side], *, rounds: int, seconds: float) -> Mapping[str, list[Measured]]:
    """Measure all sides in turn, in another order each round, so that disturbances affect all alike."""
    for side in sides:
        side.measure(WARM_UP_SECONDS)
        side.settle()
    measured: dict[str, list[Measured]] = {side.name: [] for side in sides}
    for number in range(rounds):
        first = number % len(sides)
        for side in (*sides[first:], *sides[:first]):
            measured[side.name].append(side.measure(seconds))
            side.settle()
    return measured


def middle(measured: Sequence[Measured]) -> Measured:
    return Measured(
        median(one.rate for one in measured),
        median(one.p50 for one in measured),
        median(one.p99 for one in measured),
    )


def ratio(measured: Mapping[str, Sequence[Measured]], one: str, other: str) -> float:
    """Return the median of the ratios of all rounds."""
    pairs = zip(measured[one], measured[other], strict=True)
    return median(a.rate / b.rate for a, b in pairs)


def _salt() -> str:
    return f"{random.randrange(10**7, 10**8)}"
