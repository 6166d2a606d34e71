"""Each row of docs/reference/outages.md: what requests and readiness answer, and what the log says."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import httpx
import psutil
import pytest
from support.command_line import open_directory
from support.console import HOST
from support.documents import ROOT
from support.effort import TALLY
from support.outage import Proxy
from support.own_postgres import OwnPostgres, own_postgres
from support.postgres import opened
from support.seed import add_tenants, add_users
from support.servers import development_keys
from support.waiting import until, until_available

from hoc.concurrency.background import in_background
from hoc.database import outages
from hoc.migrations import migrate
from hoc.server import create_app

TICKET: Final = {"subject": "S", "description": "D", "priority": "low"}
URGENT: Final = TICKET | {"priority": "urgent"}  # which the hook is slow about
WRITES: Final = 6
"""So many that each connection of the pool has one."""
PAGE: Final = ROOT / "docs" / "reference" / "outages.md"


@dataclass(frozen=True, slots=True)
class Site:
    """The whole service in process, and its server behind a proxy, with a superuser."""

    server: OwnPostgres
    proxy: Proxy
    client: httpx.AsyncClient
    headers: dict[str, str]

    async def read(self) -> int:
        return (await self.client.get("/accounts/support/tickets", headers=self.headers)).status_code

    async def write(self, ticket: dict[str, str] = TICKET) -> int:
        answer = await self.client.post("/accounts/support/tickets", json=ticket, headers=self.headers)
        assert (answer.status_code == 503) == ("retry-after" in answer.headers)
        return answer.status_code

    async def ready(self) -> int:
        answers = [await self.client.get(path) for path in ("/health/ready", "/health/detailed")]
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert all((answer.status_code == 503) == ("reason" in answer.json()) for answer in answers)
        return answers[0].status_code

    async def superuser(self, database: str = "hoc") -> asyncpg.Connection:
        connection: asyncpg.Connection = await asyncpg.connect(
            host="127.0.0.1", port=self.server.port, user="postgres", database=database
        )
        return connection

    async def change(self, *statements: str, database: str = "postgres") -> None:
        """Have the superuser execute statements, and hoc's next requests open connections."""
        connection = await self.superuser(database)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            connection.terminate()

    def limit_files(self, size: int | str) -> None:
        """Let the server's processes, and those that it starts, write no file beyond this size."""
        postmaster = psutil.Process(
            int((self.server.files.cluster / "postmaster.pid").read_text().split()[0])
        )
        files = self.server.files
        for process in (postmaster, *postmaster.children()):
            # As their user: root may do without the capability.
            files.user.run("prlimit", f"--pid={process.pid}", f"--fsize={size}:", home=files.directory)

    async def is_refused(self) -> bool:
        """Whether each connection is, which writes to a page of its own that may have room for some rows."""
        return {await self.write() for _ in range(WRITES)} == {503}

    async def works(self) -> bool:
        """Whether each connection reads and writes."""
        return {(await self.read(), await self.write()) for _ in range(WRITES)} == {(200, 201)}


Condition = Callable[[Site], AbstractAsyncContextManager[None]]
END: Final = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename IN ('hoc', 'other')"
END_WAITING: Final = f"{END} AND wait_event_type = 'Lock'"
RELOAD: Final = "SELECT pg_reload_conf()"


def altered(broken: str, mended: str, *, database: str = "postgres", ends: bool = True) -> Condition:
    """What some statements bring about and others end. With ``ends``, hoc has to connect anew."""

    @asynccontextmanager
    async def condition(site: Site) -> AsyncGenerator[None]:
        await site.change(*broken.split("; "), *([END] if ends else []), database=database)
        if ends:
            await site.change("SELECT 1")  # its round trips are time for hoc to see the connections' end
        try:
            yield
        finally:
            await site.change(*mended.split("; "), database=database)

    return condition


@asynccontextmanager
async def full_disk(site: Site) -> AsyncGenerator[None]:
    """No file may grow beyond that of the outbox, which is larger than one of the write-ahead log's."""
    connection = await site.superuser()
    bloat = connection.transaction()
    await bloat.start()
    await connection.execute(
        "INSERT INTO account.outbox (type, time, payload) SELECT 'none', now(),"
        " json_build_object('padding', repeat('x', 1200)) FROM generate_series(1, 16000)"
    )
    await bloat.rollback()
    size = await connection.fetchval("SELECT pg_relation_size('account.outbox')")
    await connection.close()
    site.limit_files(size)
    try:
        yield
    finally:
        site.limit_files("unlimited")


@asynccontextmanager
async def locked(site: Site) -> AsyncGenerator[None]:
    """Somebody else holds the table's lock against writes."""
    connection = await site.superuser()
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE account.support_tickets IN SHARE MODE")
            yield
    finally:
        await connection.close()


@asynccontextmanager
async def ended_while_it_waits(site: Site) -> AsyncGenerator[None]:
    async def end_whoever_waits() -> None:
        while True:
            await site.change(END_WAITING)

    async with locked(site), in_background(end_whoever_waits, name="ending"):
        yield


@asynccontextmanager
async def as_it_is(_site: Site) -> AsyncGenerator[None]:
    yield


@asynccontextmanager
async def closed_port(site: Site) -> AsyncGenerator[None]:
    await site.proxy.cut()
    yield
    await site.proxy.connect()


@asynccontextmanager
async def silent(site: Site) -> AsyncGenerator[None]:
    await site.proxy.silence()
    yield
    await site.proxy.cut()
    await site.proxy.connect()


@asynccontextmanager
async def something_else(site: Site) -> AsyncGenerator[None]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    await site.proxy.cut()
    server = await asyncio.start_server(answer, "127.0.0.1", site.proxy.port)
    yield
    server.close()
    await server.wait_closed()
    await site.proxy.connect()


@dataclass(frozen=True, slots=True)
class Row:
    """A condition, and what the log says of it. The page has the answers."""

    condition: Condition
    logged: str
    ticket: dict[str, str] = field(default_factory=lambda: TICKET)


ROWS: Final = {
    "it is read-only": Row(
        altered(
            f"ALTER SYSTEM SET default_transaction_read_only = on; {RELOAD}",
            f"ALTER SYSTEM RESET default_transaction_read_only; {RELOAD}",
            ends=False,
        ),
        "SQLSTATE 25006",
    ),
    "it refuses the login": Row(
        altered("ALTER ROLE hoc RENAME TO other", "ALTER ROLE other RENAME TO hoc"), "SQLSTATE 28P01"
    ),
    "it has another name": Row(
        altered(
            f"ALTER DATABASE hoc ALLOW_CONNECTIONS false; {END}; ALTER DATABASE hoc RENAME TO other",
            "ALTER DATABASE other RENAME TO hoc; ALTER DATABASE hoc ALLOW_CONNECTIONS true",
        ),
        "SQLSTATE 3D000",
    ),
    "the role lacks a privilege": Row(
        altered(
            "REVOKE INSERT ON account.support_tickets FROM hoc",
            "GRANT INSERT ON account.support_tickets TO hoc",
            database="hoc",
        ),
        "SQLSTATE 42501",
    ),
    "a table is missing": Row(
        altered(
            "ALTER TABLE account.support_tickets RENAME TO other",
            "ALTER TABLE account.other RENAME TO support_tickets",
            database="hoc",
        ),
        "SQLSTATE 42P01",
    ),
    "it takes no connections": Row(
        altered("ALTER DATABASE hoc ALLOW_CONNECTIONS false", "ALTER DATABASE hoc ALLOW_CONNECTIONS true"),
        "SQLSTATE 55000",
    ),
    "it has too many connections": Row(
        altered("ALTER DATABASE hoc CONNECTION LIMIT 0", "ALTER DATABASE hoc CONNECTION LIMIT -1"),
        "SQLSTATE 53300",
    ),
    "its disk is full": Row(full_disk, r"SQLSTATE (53100|XX000)"),
    "it ends a connection that waits": Row(
        ended_while_it_waits, "administrator command|connection (was|is) (closed|lost)"
    ),
    "it ends a transaction that is idle": Row(as_it_is, "connection is closed", URGENT),
    "a lock is not granted in time": Row(locked, r"SQLSTATE (55P03|57014)"),
    "a migration changed a table under a prepared statement": Row(
        altered(
            "ALTER TABLE account.tenants ALTER COLUMN status TYPE varchar(40)",  # which the hook reads
            "SELECT 1",
            database="hoc",
            ends=False,
        ),
        "",
    ),
    "its port is closed": Row(closed_port, "Connection refused"),
    "it accepts connections and does not answer": Row(silent, "no answer within 1 s"),
    "something else answers at its port": Row(something_else, "the database is unavailable: "),
}


def documented() -> dict[str, list[str]]:
    """What the page says a read, a write and readiness are answered, by the state's beginning."""
    rows = re.findall(r"^\| (it[^|]*|[a-z][^|]*) \|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    return {
        state.partition(":")[0]: [cell.strip()[:3] for cell in cells.split("|")[1:]] for state, cells in rows
    }


@pytest.fixture(scope="module")
async def site() -> AsyncGenerator[Site]:
    with (
        open_directory() as place,
        own_postgres(place / "data", prepare_files=lambda _files: {"autovacuum": "off"}) as server,
        pytest.MonkeyPatch.context() as environment,
    ):
        server.admit("host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256")
        await migrate(server.url)
        async with opened(server.url) as database:
            [owner] = await add_users(database, 1)
            [tenant] = await add_tenants(database, 1, {owner: "owner"})
        proxy = Proxy("127.0.0.1", server.port)
        await proxy.connect()
        for name, value in {
            "DATABASE_URL": f"postgresql://hoc:{server.password}@127.0.0.1:{proxy.port}/hoc",
            "DATA_DIR": str(place / "keys"),
            "DEVELOPMENT": "true",
            "HOOKS": "support.slow_hook:HOOKS",
            "POOL_SIZE": "2",
            "STATEMENT_TIMEOUT_MS": "500",
        }.items():
            environment.setenv(f"HOC_{name}", value)
        app = create_app()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(proxy.cut)
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=HOST))
            token = development_keys(place / "keys").issue(owner, tenant)
            yield Site(server, proxy, client, {"Authorization": f"Bearer {token}"})


def test_the_page_has_a_row_for_each_state() -> None:
    assert documented().keys() == ROWS.keys()


@pytest.mark.parametrize("state", ROWS)
async def test_a_state_is_answered_as_documented(
    site: Site, state: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Afterwards everything works again, without a restart."""
    TALLY["states of an outage"] += 1
    row, [read, write, ready] = ROWS[state], documented()[state]
    await until(site.works)
    monkeypatch.setattr(outages, "_reported", {})
    caplog.clear()
    async with row.condition(site):
        if state == "its disk is full":
            await until(site.is_refused)
        assert {await site.read() for _ in range(3)} == {int(read)}
        written = {await site.write(row.ticket) for _ in range(3)}
        assert written == {201 if write == "200" else int(write)}
        assert await site.ready() == int(ready)
    said = "\n".join(record.getMessage() for record in caplog.records if record.name == "hoc.database")
    assert re.search(row.logged, said), said
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR and record.exc_info]
    # asyncpg 0.30 leaves a future of its own behind when a connection ends, which asyncio then logs.
    assert not [each for each in errors if "unexpected connection_lost() call" not in each.getMessage()]
    await until(site.works)
    await until_available(site.client)
