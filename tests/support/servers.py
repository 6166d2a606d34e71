"""The service in processes of its own: `with server_process(url, directory) as server: … server.port`."""

import os
import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

import httpx
from support.forked import start_uvicorn
from support.pgbouncer import through
from support.postgres import POOLER

from hoc.cus.account.L2_api.authentication import DevelopmentKeys
from hoc.embedded import DataDirectory

_PORT: Final = re.compile(r"running on http://[0-9.]+:(\d+)")


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running server. `log` is everything it printed."""

    port: int
    log: Path
    _process: BaseProcess

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """SIGKILL: the process gets no chance to finish anything."""
        self._process.kill()
        self._process.join()


def development_keys(directory: Path) -> DevelopmentKeys:
    """The keys of the servers on this data directory."""
    return DevelopmentKeys(DataDirectory(directory).development_key)


@contextmanager
def server_process(
    database_url: str, directory: Path, *, host: str = "127.0.0.1", **settings: str
) -> Generator[ServerProcess]:
    """Run a server in development mode until the end of the block; `settings` are HOC_ variables.

    Several may share a data directory: each keeps a log of its own there.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOC_")}
    given = {
        "database_url": through(database_url),
        "data_dir": str(directory),
        "development": "true",
        "invitation_links": "true",
        "domains": "true",
        "scim": "true",
        "webhooks": "true",
        "dns_servers": "127.0.0.1:9",  # where nobody answers
        **({"pooler": POOLER} if POOLER else {}),
    } | settings
    environment = inherited | {f"HOC_{name.upper()}": value for name, value in given.items()}
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / f"server-{len(list(directory.glob('server-*.log')))}.log"
    log.touch()
    options = ["--factory", "hoc.server:create_app", "--host", host, "--port", "0"]
    # prometheus_client reads the variable at import.
    process = start_uvicorn(options, environment, log, copied="PROMETHEUS_MULTIPROC_DIR" not in environment)
    try:
        port = _port(process, log)
        _await_ready(process, log, port)
        yield ServerProcess(port, log, process)
    finally:
        process.kill()
        process.join()


def _port(process: BaseProcess, log: Path) -> int:
    while (found := _PORT.search(log.read_text())) is None:
        _must_run(process, log)
        time.sleep(0.02)
    return int(found[1])


def _await_ready(process: BaseProcess, log: Path, port: int) -> None:
    # One client, without TLS: each new one would load the certificates of all authorities.
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=False) as client:
        while client.get("/health/ready").status_code != 200:
            _must_run(process, log)
            time.sleep(0.02)


def _must_run(process: BaseProcess, log: Path) -> None:
    assert process.is_alive(), f"the server ended:\n{log.read_text()}"
