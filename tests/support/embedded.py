"""The embedded PostgreSQL and NATS as tests use them: their processes, and a value that each stores."""

import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from support.command_line import nats_of, postgres_of

from hoc.embedded import DataDirectory, EmbeddedNats, EmbeddedPostgres, EmbeddedService


@dataclass(frozen=True)
class Kind:
    """One of the embedded servers.

    ``processes`` are those in a data directory, without their children; ``pid_file`` is relative to it.
    ``store`` and ``stored`` write and read a text by a URL. ``rejected`` expects that a wrong login fails.
    """

    name: str
    label: str
    embedded: Callable[..., EmbeddedService]
    processes: Callable[[Path], list[psutil.Process]]
    pid_file: str
    store: Callable[[str, str], Awaitable[object]]
    stored: Callable[[str], Awaitable[object]]
    rejected: Callable[[], AbstractContextManager[object]]


@asynccontextmanager
async def jetstream(url: str) -> AsyncGenerator[Any]:
    async def ignore(_error: Exception) -> None:
        """The test sees the exception that `connect` raises."""

    client: Any = Client()  # which in part has no types
    try:
        await client.connect(url, allow_reconnect=False, error_cb=ignore)
        yield client.jetstream()
    finally:
        await client.close()


async def publish(url: str, text: str) -> None:
    async with jetstream(url) as stream:
        await stream.add_stream(name="KEPT", subjects=["kept"])
        await stream.publish("kept", text.encode())


async def last_message(url: str) -> str:
    async with jetstream(url) as stream:
        message = await stream.get_last_msg("KEPT", "kept")
        return bytes(message.data).decode()


async def query(url: str, statement: str, *values: object) -> Any:
    """Return the first value of the first row."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement, *values)
    finally:
        await connection.close()


async def insert(url: str, text: str) -> None:
    await query(url, "DROP TABLE IF EXISTS kept")
    await query(url, "CREATE TABLE kept (value text)")
    await query(url, "INSERT INTO kept VALUES ($1)", text)


POSTGRES: Final = Kind(
    name="postgres",
    label="PostgreSQL",
    embedded=EmbeddedPostgres,
    processes=postgres_of,
    pid_file="postgres/cluster/postmaster.pid",
    store=insert,
    stored=lambda url: query(url, "SELECT value FROM kept"),
    rejected=lambda: pytest.raises(asyncpg.InvalidAuthorizationSpecificationError),
)
NATS: Final = Kind(
    name="nats",
    label="NATS",
    embedded=EmbeddedNats,
    processes=nats_of,
    pid_file="nats/nats-server.pid",
    store=publish,
    stored=last_message,
    rejected=lambda: pytest.raises(NatsError, match=r"(?i)authorization"),
)


@contextmanager
def owner(kind: Kind, data: DataDirectory, *, before_start: str = "") -> Generator[subprocess.Popen[str]]:
    """Give a process that owns an embedded server. It prints the URL, then waits; the end kills it."""
    embedded = getattr(kind.embedded, "__name__", "")
    code = f"""
        import os, signal, sys, threading, time
        from pathlib import Path
        from hoc.embedded import DataDirectory, {embedded}
        data = DataDirectory(sys.argv[1])
        step = lambda line: None
        {before_start}
        server = {embedded}(data, lambda line: step(line))
        print(server.start(), flush=True)
        signal.pause()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(data.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
