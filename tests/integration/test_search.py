"""A search finds its accounts, or tenants, by the index, and reads no others."""

from collections.abc import AsyncGenerator

import asyncpg
import pytest
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql import asyncpg as postgresql
from sqlalchemy.sql.compiler import SQLCompiler
from support.plans import MODES, plans, whole
from support.seed import execute

from hoc.cus.account.L6_drivers.account_lists import RARE, search_values
from hoc.cus.account.L6_drivers.operators import FOUND_TENANTS
from hoc.database import Database

ACCOUNTS = """
    INSERT INTO account.users (user_id, email, email_key, name, name_key)
    SELECT 'usr_' || n, 'person' || n || '@example.com', 'person' || n || '@example.com', name, lower(name)
    FROM generate_series(1, 20000) AS n, LATERAL (SELECT 'Number ' || md5(n::text) AS name) AS named"""

TENANTS = """
    INSERT INTO account.tenants (tenant_id, name, slug)
    SELECT 'ten_' || n, 'Number ' || md5(n::text), 'number-' || n FROM generate_series(1, 20000) AS n"""


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_database_url)
    await connection.execute(ACCOUNTS)
    await connection.execute("VACUUM ANALYZE account.users")
    yield connection
    await connection.close()


@pytest.mark.parametrize("term", ["person7777@", "person7777@example.com", "b1d5781111d84f7b", "number c4ca"])
async def test_a_rare_term_is_found_by_the_index(connection: asyncpg.Connection, term: str) -> None:
    plan = await plan_of_search(connection, term)
    assert "ix_users_search" in plan
    assert "Seq Scan on users" not in plan


async def test_without_the_index_every_account_would_be_read(connection: asyncpg.Connection) -> None:
    await connection.execute("DROP INDEX account.ix_users_search")
    assert "Seq Scan on users" in await plan_of_search(connection, "person7777@")


@pytest.mark.parametrize("mode", MODES)
async def test_a_tenant_is_found_by_the_index(fresh_database: Database, mode: str) -> None:
    await execute(fresh_database, TENANTS)
    await execute(fresh_database, "SELECT gin_clean_pending_list('account.ix_tenants_search')")
    await execute(fresh_database, "ANALYZE account.tenants")
    given = {"text": "%b1d5781111%", "character varying": "ten_7", "bigint": "51"}
    given["timestamp with time zone"] = "2026-03-14 10:00:00+00"
    searches = {str(kind): statement for kind, statement in FOUND_TENANTS.items()}
    found = await plans(fresh_database, searches, given, mode=mode)
    assert {name: whole(plan) for name, plan in found.items()} == {key: set[str]() for key in searches}
    await execute(fresh_database, "DROP INDEX account.ix_tenants_search")
    [one] = (await plans(fresh_database, {"one": FOUND_TENANTS[False, False]}, given, mode=mode)).values()
    assert whole(one) == {"tenants"}, "without the index every tenant would be read"


async def plan_of_search(connection: asyncpg.Connection, term: str) -> str:
    statement = RARE[True].first
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    assert isinstance(compiled, SQLCompiler)
    given = {**search_values(term), "max_counted": 10_000, "row_limit": 51}
    state = compiled.construct_expanded_state({f"given_{name}": value for name, value in given.items()})
    rows = await connection.fetch(f"EXPLAIN {state.statement}", *state.positional_parameters)
    return "\n".join(row[0] for row in rows)
