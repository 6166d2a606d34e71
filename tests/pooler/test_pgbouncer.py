"""What a pooler takes away, on a real PgBouncer: hoc says what is missing, and leaves nothing behind."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest
from sqlalchemy import text
from support.console import serving
from support.pgbouncer import ADDRESS, at, keeps_statements, pgbouncer
from support.postgres import TestServer
from support.races import meeting
from support.seed import execute, scalar
from support.waiting import until

from hoc.asgi import Accounts
from hoc.cli.doctor import examine
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest
from hoc.cus.account.L6_drivers.advisory_locks import AdvisoryLock
from hoc.cus.account.wiring import open_database
from hoc.database import Database, Pooler
from hoc.database.pooler import POOLER_FOUND
from hoc.embedded import DataDirectory
from hoc.migrations import current_revision, migrate
from hoc.settings import Settings

IGNORED = "statement_timeout,lock_timeout,idle_in_transaction_session_timeout"
NO_LIMITS = "SELECT 1"
READ = "SELECT word FROM pooled"
LISTENING = (
    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
)


@pytest.fixture(autouse=True)
def _on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test names its own pooler, and not that of the run."""
    monkeypatch.delenv(ADDRESS, raising=False)


@asynccontextmanager
async def opened_at(
    address: str, url: str, *, pooler: Pooler | None = "transaction", pool_size: int = 4
) -> AsyncGenerator[Database]:
    database = open_database(at(address, url), pool_size=pool_size, pooler=pooler)
    try:
        yield database
    finally:
        await database.close()


async def on_each(database: Database, statement: str) -> list[object]:
    """A statement's value on four server connections at the same time."""
    all_open = asyncio.Barrier(4)

    async def value() -> object:
        async with database.transaction() as session:
            found: object = await session.scalar(text(statement))
            await all_open.wait()
            return found

    return await asyncio.gather(*(value() for _ in range(4)))


@pytest.mark.parametrize("settings", [{}, {"ignore_startup_parameters": IGNORED}], ids=["refusing", "hiding"])
async def test_a_pooler_nobody_told_of_is_named(
    settings: dict[str, str],
    database_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hoc.database.outages._reported", {})
    with pgbouncer(database_url, **settings) as address:
        url = at(address, database_url)
        async with serving(url, tmp_path, pooler=None) as console:
            answer = await console.identity.get("/accounts/stats", headers=console.scoped("accounts:admin"))
            assert answer.status_code == 503
            assert POOLER_FOUND in caplog.text
            assert await console.served.readiness.check() == POOLER_FOUND
        monkeypatch.setenv("HOC_DATABASE_URL", url)
        found = await asyncio.to_thread(examine, DataDirectory(tmp_path))
    assert [each["state"] for each in found if POOLER_FOUND in each["detail"]] == ["wrong"]


async def test_nothing_stays_on_server_connections(database_url: str) -> None:
    """Neither statements that others would find under their name, nor settings, nor a listener."""
    with pgbouncer(database_url) as address, pytest.MonkeyPatch.context() as patch:
        patch.setattr("hoc.database.pooled_connection._MOST_STATEMENTS", 2)
        async with opened_at(address, database_url) as database:
            processes = await on_each(database, "SELECT pg_backend_pid()")
            assert len(set(processes)) == 4
            for number in range(1, 5):
                assert (
                    await scalar(database, f"SELECT count(*) FROM generate_series(1, :n) -- {number}", n=3)
                    == 3
                )
                assert await scalar(database, "SELECT CAST(:ids AS int8[])", ids=[number]) == [number]
            named = "SELECT count(*) FROM pg_prepared_statements WHERE name NOT LIKE 'PGBOUNCER%'"
            assert set(await on_each(database, named)) == {0}
            assert set(await on_each(database, "SELECT current_setting('jit')")) == {"on"}


async def test_statements_are_kept_where_the_pooler_can(database_url: str) -> None:
    """Where it keeps them, also outdated ones, which hoc then executes without their name."""
    with pgbouncer(database_url) as address:
        async with opened_at(address, database_url) as database:
            async with database.transaction() as session:
                driver = cast("Any", (await session.get_raw_connection()).driver_connection)
                assert driver.keeps_names is keeps_statements()
            await execute(database, "CREATE TABLE pooled (word varchar(10))")
            try:
                for length in (20, 30):
                    for _ in range(8):
                        assert await scalar(database, READ) is None
                        assert await database.transact(lambda session: session.scalar(text(READ))) is None
                    await execute(database, f"ALTER TABLE pooled ALTER word TYPE varchar({length})")
            finally:
                await execute(database, "DROP TABLE pooled")


async def test_missing_limits_are_named_once(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pgbouncer(database_url, connect_query=NO_LIMITS) as address:
        async with serving(at(address, database_url), tmp_path, pooler="transaction") as console:
            for _ in range(2):
                assert await console.served.readiness.check() is None
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 3
    assert warned[0].endswith("run ALTER ROLE hoc SET statement_timeout = '5s'")


async def test_the_doctor_examines_pooler_and_way_past_it(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found() -> dict[str, str]:
        findings = await asyncio.to_thread(examine, DataDirectory(tmp_path))
        return {each["check"]: f"{each['state']}: {each['detail']}" for each in findings}

    monkeypatch.setenv("HOC_POOLER", "transaction")
    with pgbouncer(database_url, connect_query=NO_LIMITS) as address:
        monkeypatch.setenv("HOC_DATABASE_URL", at(address, database_url))
        first = await found()
        assert first["pooler"].startswith("ok: in transaction mode")
        assert first["limits"].startswith("warning: ")
        assert first["listening"].startswith("warning: ")
        monkeypatch.setenv("HOC_LISTEN_DATABASE_URL", at(address, database_url))
        assert (await found())["listening"].startswith("wrong: ")
        monkeypatch.setenv("HOC_LISTEN_DATABASE_URL", database_url)
        assert (await found())["listening"].startswith("ok: ")
    monkeypatch.setenv("HOC_DATABASE_URL", database_url)
    assert (await found())["pooler"].startswith("warning: HOC_POOLER is set, but PostgreSQL itself answers")


@pytest.mark.parametrize("is_direct", [True, False], ids=["directly", "polling"])
async def test_a_relay_listens_past_the_pooler_or_polls(
    is_direct: bool, fresh_database_url: str, tmp_path: Path
) -> None:
    with pgbouncer(fresh_database_url) as address:
        settings = Settings(
            database_url=at(address, fresh_database_url),
            pooler="transaction",
            listen_database_url=fresh_database_url if is_direct else None,
            data_dir=tmp_path,
        )
        accounts = Accounts(settings)
        observer = await asyncpg.connect(fresh_database_url)
        try:
            async with accounts.lifespan():

                async def listens() -> bool:
                    return bool(await observer.fetchval(LISTENING))

                if is_direct:
                    await until(listens)
                await accounts.identity_service.ensure_account(
                    AccountEnsureRequest("u", "u@example.com", "Ada")
                )

                async def is_numbered() -> bool:
                    return bool(await observer.fetchval("SELECT count(*) FROM account.events"))

                await until(is_numbered)
                assert await listens() == is_direct
        finally:
            await observer.close()


async def test_migrations_outlast_the_roles_limits(postgres_server: TestServer) -> None:
    """One that waits for another, longer than any statement of the role may take or wait."""
    limits = "SET statement_timeout = 500; SET lock_timeout = 500"
    async with postgres_server.new_database(migrated=False) as url:
        with pgbouncer(url, connect_query=limits) as address:
            pooled = at(address, url)
            async with meeting(url, f"SELECT pg_advisory_xact_lock({AdvisoryLock.MIGRATION})") as other:
                migrating = await other.join(migrate(pooled, pooler="transaction"))
                await asyncio.wait([migrating], timeout=1)
            await migrating
            assert await current_revision(pooled, pooler="transaction") is not None


async def test_in_session_mode_hoc_sets_its_limits(database_url: str) -> None:
    with pgbouncer(database_url, connect_query=NO_LIMITS, pool_mode="session") as address:
        async with opened_at(address, database_url, pooler="session") as database:
            assert set(await on_each(database, "SELECT current_setting('statement_timeout')")) == {"5s"}
