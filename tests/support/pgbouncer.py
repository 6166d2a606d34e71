"""A real PgBouncer before the PostgreSQL of a test run, or before a test's own."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from support.waiting import PATIENCE_SECONDS

from hoc.embedded.service import free_port
from hoc.embedded.unprivileged import service_user

PROGRAM: Final = os.environ.get("HOC_TEST_PGBOUNCER") or shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
ADDRESS: Final = "HOC_TEST_POOLER_ADDRESS"
"""Names the pooler that this test run goes through, and the server behind it, each as host:port."""

# In place of what hoc sets on connections of its own.
LIMITS: Final = (
    "SET statement_timeout = 5000; SET lock_timeout = 5000; SET idle_in_transaction_session_timeout = 10000"
)
_SETTINGS: Final = {
    "listen_addr": "127.0.0.1",
    "auth_type": "any",
    "pool_mode": "transaction",
    "max_client_conn": "2000",
    "default_pool_size": "100",
    # Each transaction of a client is on another connection than the one before, where there are several.
    "server_round_robin": "1",
    "query_wait_timeout": "10",
    "log_connections": "0",
    "log_disconnections": "0",
    "log_stats": "0",
}


def keeps_statements() -> bool:
    """Whether this version can take care of prepared statements: PgBouncer 1.21 and later."""
    printed = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor, *_ = printed.split()[1].split(".")
    return (int(major), int(minor)) >= (1, 21)


@contextmanager
def pgbouncer(server_url: str, *, connect_query: str = LIMITS, **settings: str) -> Generator[str]:
    """Run it before a server's databases during the block, as an unprivileged user. Gives host and port."""
    server = urlsplit(server_url)
    given = _SETTINGS | {"listen_port": str(free_port()), "max_prepared_statements": "200"} | settings
    if not keeps_statements():
        del given["max_prepared_statements"]
    database = (
        f"* = host={server.hostname} port={server.port} user={server.username} password={server.password}"
        f" connect_query='{connect_query}'"
    )
    with tempfile.TemporaryDirectory(prefix="hoc-pooler-") as name:
        directory = Path(name)
        user = service_user(directory)
        lines = [
            "[databases]",
            database,
            "[pgbouncer]",
            f"unix_socket_dir = {directory}",
            *(f"{key} = {value}" for key, value in given.items()),
        ]
        config = directory / "pgbouncer.ini"
        config.write_text("\n".join([*lines, ""]))
        config.chmod(0o600)
        for path in (directory, config):
            user.own(path)
        with subprocess.Popen(
            [PROGRAM, "--quiet", config],
            user=user.uid,
            group=user.gid,
            extra_groups=None if user.uid is None else [],
            cwd=directory,
        ) as process:
            try:
                _await(process, int(given["listen_port"]))
                yield f"127.0.0.1:{given['listen_port']}"
            finally:
                process.kill()


def at(address: str, url: str) -> str:
    """The URL of a database with another host and port."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{address}").geturl()


def through(url: str) -> str:
    """The URL as this run's connections have it: through its pooler, if it has one before that server."""
    pooler, _, server = os.environ.get(ADDRESS, "").partition(" ")
    return at(pooler, url) if pooler and urlsplit(url).netloc.endswith(f"@{server}") else url


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert process.poll() is None, "pgbouncer ended; what it said is above"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < ends, "pgbouncer does not answer"
            time.sleep(0.02)
        else:
            return
