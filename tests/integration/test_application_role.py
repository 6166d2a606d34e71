"""The whole service under a role without DDL, which has only what `hoc grants` gives it."""

from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest
from support.console import Console, serving
from support.postgres import TestServer, opened
from support.routes import ROUTES
from support.schema import schema_objects
from support.seed import execute, scalar

from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L6_drivers.grants import grants_script
from hoc.cus.account.wiring import postgres_engines
from hoc.database import Database
from hoc.events.relay import PartitionMissingError, Relay
from hoc.housekeeping import Housekeeping
from hoc.migrations import migrate
from hoc.readiness import Readiness
from hoc.retention import KeepDays, Retention

ROLE = "hoc_application"
AS_OWNER = "SET ROLE NONE"


@pytest.fixture
async def restricted_url(postgres_server: TestServer) -> AsyncGenerator[str]:
    """A database on which every new connection acts as the role of the application."""
    async with postgres_server.new_database() as url:
        name = url.rpartition("/")[2]
        connection = await asyncpg.connect(url)
        await connection.execute(grants_script(ROLE))
        await connection.execute(f'ALTER ROLE hoc IN DATABASE "{name}" SET role TO {ROLE}')
        await connection.close()
        yield url


@pytest.fixture
async def restricted(restricted_url: str) -> AsyncGenerator[Database]:
    async with opened(restricted_url) as database:
        yield database


async def as_owner(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(AS_OWNER)
    await connection.execute(statement)
    await connection.close()


async def test_the_role_may_not_change_the_schema(restricted: Database) -> None:
    for statement in (
        "CREATE TABLE account.extra (id int)",
        "DROP TABLE account.users",
        "UPDATE account.alembic_version SET version_num = 'x'",
    ):
        async with restricted.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await driver.execute(statement)


async def test_the_role_may_use_every_sequence(restricted: Database) -> None:
    """Citus calls nextval for an identity, of which PostgreSQL itself asks no privilege."""
    sequences = "FROM pg_class WHERE relkind = 'S' AND relnamespace = 'account'::regnamespace"
    assert await scalar(restricted, f"SELECT bool_and(has_sequence_privilege(oid, 'USAGE')) {sequences}")


async def test_every_operation_works_under_it(restricted_url: str, tmp_path: Path) -> None:
    async with serving(restricted_url, tmp_path) as console:
        for route in ROUTES.values():
            team = await console.team()
            values = await route.prepare(console, team)
            answer = await console.client.request(
                **route.request(values), headers=route.allowed(console, team, values)
            )
            assert answer.is_success, f"{route}: {answer.text}"
        await everything_beside_requests_works(console)


async def everything_beside_requests_works(console: Console) -> None:
    relay = Relay(console.database, None, source="urn:test")
    while await relay.sequence_events():
        pass
    assert await scalar(console.database, "SELECT count(*) FROM account.events") != 0
    await Housekeeping(console.database).delete_expired()
    assert await Readiness(console.database).check() is None


async def test_migrating_what_is_migrated_needs_no_ddl(restricted_url: str) -> None:
    before = await schema_objects(restricted_url)
    await migrate(restricted_url)
    assert await schema_objects(restricted_url) == before


async def test_old_events_stay_and_it_says_so_once(
    restricted_url: str, restricted: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Their tables are the owner's to drop."""
    month = "FOR VALUES FROM ('2020-01-01+00') TO ('2020-02-01+00')"
    await as_owner(restricted_url, f"CREATE TABLE account.events_2020_01 PARTITION OF account.events {month}")
    retention = Retention(restricted, postgres_engines(Options()).erasure, KeepDays(events=30))
    await retention.apply()
    await retention.apply()
    assert caplog.text.count("run `hoc events prune --keep-days 30` as the tables' owner") == 1
    assert await scalar(restricted, "SELECT to_regclass('account.events_2020_01') IS NOT NULL")


async def test_a_missing_partition_speaks_and_is_made_by_the_owner(
    restricted_url: str, restricted: Database, caplog: pytest.LogCaptureFixture
) -> None:
    month = await scalar(restricted, "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")
    await as_owner(restricted_url, f"DROP TABLE account.events_{month}")
    await execute(
        restricted,
        "INSERT INTO account.outbox (type, time, user_id, payload) VALUES ('user.created', now(), 'a', '{}')",
    )
    assert "hoc migrate" in str(await Readiness(restricted).check())
    relay = Relay(restricted, None, source="urn:test")
    with pytest.raises(PartitionMissingError):
        await relay.sequence_events()
    await Housekeeping(restricted).create_partitions()
    assert "hoc migrate" in caplog.text
    name = restricted_url.rpartition("/")[2]
    await as_owner(restricted_url, f'ALTER ROLE hoc IN DATABASE "{name}" RESET role')
    await migrate(restricted_url)
    assert await relay.sequence_events()
    assert await Readiness(restricted).check() is None
