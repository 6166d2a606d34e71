"""The PostgreSQL of a test run: one server, a migrated template, and databases copied from it."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from support import citus
from support.pgbouncer import ADDRESS, pgbouncer, through

from hoc.cus.account.wiring import open_database
from hoc.database import Database, Pooler
from hoc.migrations import migrate

T = TypeVar("T")

_DROP_ATTEMPTS = 100
STATEMENT_TIMEOUT_MS = int(os.environ.get("HOC_TEST_STATEMENT_TIMEOUT_MS", "5000"))
"""As hoc's own, unless the machine has other work too, such as the nodes of a cluster."""

POOLED = "HOC_TEST_POOLER"
"""With it, hoc's connections go through a PgBouncer; those of the tests themselves do not."""
POOLER: Pooler | None = "transaction" if POOLED in os.environ else None


@dataclass(frozen=True, slots=True)
class TestServer:
    """``url`` is the administrator's URL, and ``template`` the name of the migrated database.

    A template cannot be copied on a coordinator of Citus: each database is made on every node instead.
    """

    __test__ = False

    url: str
    template: str

    @property
    def is_citus(self) -> bool:
        return not self.template

    @asynccontextmanager
    async def new_database(self, *, migrated: bool = True) -> AsyncGenerator[str]:
        """Yield the URL of an empty database, with its tables or before them. Afterwards drop it."""
        if self.is_citus:
            async with citus.new_database(self.url, migrated=migrated) as url:
                yield url
            return
        name = _new_name()
        template = self.template if migrated else "template0"
        await _execute(self.url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield _with_database(self.url, name)
        finally:
            await _drop(self.url, name)


class TestServerOwner:
    """Starts the server when it is first needed, and stops it at the end of the run.

    With `HOC_TEST_DATABASE_URL` set, that server is used instead; its role must be able to create databases.
    """

    __test__ = False

    def __init__(self) -> None:
        self._held = ExitStack()
        self._server: TestServer | None = None

    def server(self) -> TestServer:
        """Return the running server, started and given its template by the first call."""
        if self._server is None:
            url = os.environ.get("HOC_TEST_DATABASE_URL") or self._start()
            template = "" if run_beside(citus.is_coordinator(url)) else _new_name()
            if template:
                self._held.callback(lambda: run_beside(_drop(url, template)))
                run_beside(_create_template(url, template))
            if POOLER:
                pooler, server = self._held.enter_context(pgbouncer(url)), urlsplit(url)
                os.environ[ADDRESS] = f"{pooler} {server.hostname}:{server.port}"
            self._server = TestServer(url, template)
        return self._server

    def stop(self) -> None:
        """Stop and remove everything."""
        self._server = None
        self._held.close()

    def _start(self) -> str:
        """Start it in a process that ends with the run, even if the run is killed."""
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("postgres_process.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C must reach only the run
        )
        self._held.enter_context(process)  # at the end closes its input and waits for it
        url = "" if process.stdout is None else process.stdout.readline().strip()
        if not url:
            raise RuntimeError("The PostgreSQL of the test run did not start. Its output is above.")
        return url


@asynccontextmanager
async def opened(
    url: str, *, pool_size: int = 10, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> AsyncGenerator[Database]:
    """A `Database` that is closed at the end of the block."""
    database = open_database(
        through(url), pool_size=pool_size, statement_timeout_ms=statement_timeout_ms, pooler=POOLER
    )
    try:
        yield database
    finally:
        await database.close()


async def open_connections(database: Database, count: int) -> None:
    """Fill the pool with connections, one by one: a busy machine makes many at once wait too long."""
    async with AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(database.engine.connect())


def run_beside(work: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end in a thread, whether or not this thread has a running event loop."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        return beside.submit(asyncio.run, work).result()


async def _create_template(url: str, name: str) -> None:
    await _execute(url, f'CREATE DATABASE "{name}"')
    await migrate(_with_database(url, name))


async def _drop(url: str, name: str) -> None:
    for _ in range(_DROP_ATTEMPTS):
        try:
            await _execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        except asyncpg.InsufficientPrivilegeError:
            # The superuser's autovacuum uses the database, and only a superuser may end that.
            await asyncio.sleep(0.2)
        else:
            return
    raise TimeoutError(f"autovacuum still uses the database {name}")


async def _execute(url: str, statement: str) -> None:
    async with AsyncExitStack() as stack:
        connection = await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        await connection.execute(statement)


def _new_name() -> str:
    return f"hoc_test_{uuid.uuid4().hex}"


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
