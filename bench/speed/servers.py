"""The measured servers: uvicorn with uvloop and httptools, without an access log, each on a free port."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final, TypeAlias

import psutil

from hoc.embedded.service import free_port

HOC: Final = Path(sys.executable).with_name("hoc")
MANY: Final = str(2**31 - 1)
UVICORN: Final = (
    *("--loop=uvloop", "--http=httptools", "--log-level=warning"),
    *("--no-access-log", "--no-server-header", "--no-proxy-headers"),
)
_HERE: Final = Path(__file__).parent
_PATIENCE_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.005
_STOP_SECONDS: Final = 30
_UNAVAILABLE: Final = 503


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    process: psutil.Process

    def resident_bytes(self) -> int:
        """Return the resident memory of all its processes."""
        return sum(one.memory_info().rss for one in (self.process, *self.process.children(recursive=True)))


Running: TypeAlias = AbstractContextManager[Server]


def hoc(database_url: str, place: Path, *, lifespan: str = "on", **settings: str) -> Running:
    """Run hoc's application. It accepts the tokens of the development keys in ``place``.

    With ``lifespan`` "off" it does no background work: no mail, events or housekeeping.
    """
    given = {
        "database_url": database_url,
        "data_dir": str(place),
        "development": "true",
        "invitations_per_tenant_per_day": MANY,
        "pool_size": "10",  # as the yardstick's
    }
    environment = _environment(**given | settings)
    return _uvicorn("hoc.server:create_app", place, environment, "--factory", f"--lifespan={lifespan}")


def bare(database_url: str, place: Path, *, resets: bool = False) -> Running:
    """Run the yardstick. With ``resets`` its pool resets used connections, as asyncpg's does by default."""
    environment = {"BENCH_DATABASE_URL": database_url, "BENCH_RESETS": str(int(resets))}
    return _uvicorn("bare:app", place, environment, f"--app-dir={_HERE}")


def peer(module: str, database_url: str, place: Path) -> Running:
    environment = {"BENCH_DATABASE_URL": database_url}
    return _uvicorn(f"{module}:app", place, environment, f"--app-dir={_HERE / 'peers'}")


def hoc_serve(data: Path, *arguments: str, **settings: str) -> Running:
    """Run `hoc serve` as a user would. The block begins once it is ready."""
    port = free_port()
    command = [str(HOC), "serve", f"--port={port}", f"--data-dir={data}", *arguments]
    log = data.with_suffix(".log")
    return _running(command, port, "/health/ready", environment=_environment(**settings), log=log)


def _environment(**settings: str) -> dict[str, str]:
    return {f"HOC_{name.upper()}": value for name, value in settings.items()}


def _uvicorn(app: str, place: Path, environment: Mapping[str, str], *arguments: str) -> Running:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", app, f"--port={port}", *UVICORN, *arguments]
    log = place / f"{app.partition(':')[0]}-{port}.log"
    return _running(command, port, "/health/live", environment=environment, log=log)


@contextmanager
def _running(
    command: list[str], port: int, ready: str, *, environment: Mapping[str, str], log: Path
) -> Generator[Server]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOC_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=inherited | environment, stdout=output, stderr=subprocess.STDOUT
        )
    with process:
        try:
            _await(lambda: _answers(port, ready), process, log)
            yield Server(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
        finally:
            _stop(process)


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < _UNAVAILABLE  # the yardstick answers 404
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _await(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"The server did not start:\n{log.read_text()}")
        time.sleep(_POLL_SECONDS)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
