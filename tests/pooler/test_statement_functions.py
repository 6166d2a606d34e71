"""Functions keep the plans of frequent statements, on a real PgBouncer that keeps no statements."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import select, text
from support.pgbouncer import ADDRESS, at, pgbouncer

from hoc.cli.doctor import examine
from hoc.cus.account.L6_drivers.execution import SqlSession
from hoc.cus.account.L6_drivers.grants import grants_script
from hoc.cus.account.L6_drivers.tables import tenants
from hoc.cus.account.wiring import open_database
from hoc.database import Database
from hoc.database.statement_functions import DROP_FUNCTIONS
from hoc.embedded import DataDirectory
from hoc.migrations import migrate

OFTEN = 5
CALL = "SELECT * FROM account.statement_"
RUNNING = text("SELECT current_query() AS query, CAST(:number AS integer)")
ADD = text(
    "INSERT INTO account.tenants (tenant_id, name, slug) VALUES (:tenant_id, 'Tools', :tenant_id)"
    " RETURNING tenant_id, created_at"
)
MADE = (
    "SELECT count(*) FROM pg_proc"
    " WHERE starts_with(proname, 'statement_') AND pronamespace = 'account'::regnamespace"
)
ROLE = "hoc_application"
PLANT = f"""
    DO $$
    DECLARE
        function regprocedure := (
            SELECT oid FROM pg_proc
            WHERE starts_with(proname, 'statement_') AND pronamespace = 'account'::regnamespace
        );
    BEGIN
        EXECUTE replace(pg_get_functiondef(function), 'current_query()', '''planted''::text');
        GRANT CREATE ON SCHEMA account TO {ROLE};
        EXECUTE format('ALTER FUNCTION %s OWNER TO {ROLE}', function);
    END $$"""


@pytest.fixture(autouse=True)
def _on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test names its own pooler, and has statements be frequent as usual."""
    monkeypatch.delenv(ADDRESS, raising=False)
    monkeypatch.setattr("hoc.database.pooled_connection._OFTEN", OFTEN)


@asynccontextmanager
async def pooled(url: str, *, pool_size: int = 1) -> AsyncGenerator[Database]:
    with pgbouncer(url, max_prepared_statements="0") as address:
        database = open_database(at(address, url), pool_size=pool_size, pooler="transaction")
        try:
            yield database
        finally:
            await database.close()


async def execute_directly(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def made(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        count: int = await connection.fetchval(MADE)
        return count
    finally:
        await connection.close()


async def running(database: Database, number: int = 0) -> str:
    """What PostgreSQL executes for `RUNNING`."""
    async with database.reading() as session:
        row = (await session.execute(RUNNING, {"number": number})).first()
    assert row is not None
    assert row.int4 == number
    text_of_it: str = row.query
    return text_of_it


def adds(tenant_id: str) -> Callable[[SqlSession], Awaitable[str]]:
    async def work(session: SqlSession) -> str:
        result = await session.execute(ADD, {"tenant_id": tenant_id})
        row = result.first()
        assert row is not None
        return str(row.tenant_id)

    return work


async def test_the_sixth_execution_calls_a_function(fresh_database_url: str) -> None:
    async with pooled(fresh_database_url) as database:
        texts = [await running(database, number) for number in range(OFTEN + 2)]
    assert all(sent.startswith("SELECT current_query") for sent in texts[:OFTEN])
    assert all(sent.startswith(CALL) for sent in texts[OFTEN:])
    assert await made(fresh_database_url) == 1


async def test_so_does_a_statement_of_transactions_alone(fresh_database_url: str) -> None:
    async with pooled(fresh_database_url) as database:
        for number in range(OFTEN + 2):
            assert await database.atomically(adds(f"t{number}")) == f"t{number}"
            assert await made(fresh_database_url) == (number >= OFTEN)
        async with database.reading() as session:
            assert len(await session.execute(select(tenants.c.tenant_id))) == OFTEN + 2


async def test_dropped_functions_fail_nothing_and_come_back(fresh_database_url: str) -> None:
    """Neither statements by themselves nor transactions fail, on any of several connections."""
    async with pooled(fresh_database_url, pool_size=10) as database:
        for part in ("before", "after"):
            for times in range(3 * OFTEN):  # so that one of the connections executes each often enough
                await _on_all(database, f"{part}-{times}")
            assert await made(fresh_database_url) == 2
            await execute_directly(fresh_database_url, str(DROP_FUNCTIONS))


async def _on_all(database: Database, name: str) -> None:
    each = [database.atomically(adds(f"{name}-{number}")) for number in range(8)]
    await asyncio.gather(*each, *(running(database) for _ in range(8)))


async def test_outdated_functions_fail_nothing(fresh_database_url: str) -> None:
    """After a migration that changes a column's type."""
    read = text("SELECT current_query() AS query, name FROM account.tenants")
    async with pooled(fresh_database_url) as database:
        await database.atomically(adds("t"))

        async def names() -> str:
            async with database.reading() as session:
                [row] = await session.execute(read)
            assert row.name == "Tools"
            sent: str = row.query
            return sent

        assert [await names() for _ in range(OFTEN + 1)][-1].startswith(CALL)
        await execute_directly(fresh_database_url, "ALTER TABLE account.tenants ALTER name TYPE text")
        assert (await names()).startswith("SELECT current_query")
        assert [await names() for _ in range(OFTEN)][-1].startswith(CALL)


async def test_processes_that_make_the_same_do_not_disturb_each_other(
    fresh_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(pooled(fresh_database_url)) for _ in range(8)]
        for _ in range(OFTEN):
            await asyncio.gather(*map(running, databases))
        sent = await asyncio.gather(*map(running, databases))
    assert all(each.startswith(CALL) for each in sent)
    assert await made(fresh_database_url) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_only_functions_of_the_role_itself_are_called(fresh_database_url: str) -> None:
    async with pooled(fresh_database_url) as database:
        for _ in range(OFTEN + 1):
            await running(database)
    await execute_directly(fresh_database_url, PLANT)
    async with pooled(fresh_database_url) as database:
        assert all([await running(database) != "planted" for _ in range(OFTEN + 2)])


async def test_a_migration_drops_them(fresh_database_url: str) -> None:
    async with pooled(fresh_database_url) as database:
        for _ in range(OFTEN + 1):
            await running(database)
    await migrate(fresh_database_url)
    assert await made(fresh_database_url) == 1
    await migrate(fresh_database_url, "base")
    assert await made(fresh_database_url) == 0


async def test_a_role_drops_only_those_that_it_may_drop(fresh_database_url: str) -> None:
    await execute_directly(fresh_database_url, grants_script(ROLE))
    async with pooled(fresh_database_url) as database:
        for _ in range(OFTEN + 1):
            await running(database)
        await execute_directly(fresh_database_url, PLANT)
        for number in range(OFTEN + 1):
            await database.atomically(adds(f"t{number}"))
    assert await made(fresh_database_url) == 2
    await execute_directly(fresh_database_url, f"SET ROLE {ROLE}; {DROP_FUNCTIONS}")
    assert await made(fresh_database_url) == 1
    await execute_directly(fresh_database_url, str(DROP_FUNCTIONS))
    assert await made(fresh_database_url) == 0


async def test_a_role_that_may_make_none_goes_on_by_text(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await execute_directly(fresh_database_url, grants_script(ROLE))
    name = urlsplit(fresh_database_url).path[1:]
    await execute_directly(fresh_database_url, f'ALTER ROLE hoc IN DATABASE "{name}" SET role TO {ROLE}')
    async with pooled(fresh_database_url) as database:
        for number in range(2 * OFTEN):
            assert (await running(database, number)).startswith("SELECT current_query")
    assert await made(fresh_database_url) == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    with pgbouncer(fresh_database_url, max_prepared_statements="0") as address:
        monkeypatch.setenv("HOC_POOLER", "transaction")
        monkeypatch.setenv("HOC_DATABASE_URL", at(address, fresh_database_url))
        found = await asyncio.to_thread(examine, DataDirectory(tmp_path))
    [pooler] = [each for each in found if each["check"] == "pooler"]
    assert pooler["state"] == "warning"
    assert pooler["detail"].endswith(f"run GRANT CREATE ON SCHEMA account TO {ROLE}")
