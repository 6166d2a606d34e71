"""A search finds its accounts, or tenants, by the index, and reads no others."""

from collections.abc import AsyncGenerator

import asyncpg
import pytest
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql import asyncpg as postgresql
from sqlalchemy.sql.compiler import SQLCompiler
from support.plans import MODES, plans, whole
from support.seed import execute
from support.statements import recorded_statements

from hoc.cus.account.L5_schemas.identity import AccountFilter
from hoc.cus.account.L5_schemas.port_types import Window
from hoc.cus.account.L6_drivers.account_lists import (
    AMONG_NEWEST,
    RARE,
    WITH_ADDRESS,
    list_accounts,
    search_values,
)
from hoc.cus.account.L6_drivers.operators import FOUND_TENANTS
from hoc.cus.account.L6_drivers.paging import Paged
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


async def test_a_whole_address_is_found_by_its_own_index(connection: asyncpg.Connection) -> None:
    plan = await plan_of_search(connection, "person7777@example.com", among=WITH_ADDRESS[None])
    assert "uq_users_email_key" in plan
    assert "Seq Scan on users" not in plan


async def test_the_newest_accounts_are_read_from_the_newest_on(connection: asyncpg.Connection) -> None:
    plan = await plan_of_search(connection, "person", among=AMONG_NEWEST[True])
    assert "Index Scan Backward using ix_users_page" in plan
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


AGED = """
    UPDATE account.users SET name_key = name_key || CASE WHEN n > 18000 THEN ' old' ELSE ' new' END,
      created_at = now() - n * interval '1 minute'
    FROM generate_series(1, 20000) AS n WHERE user_id = 'usr_' || n"""


@pytest.mark.parametrize(
    ("term", "total", "is_capped", "newest"),
    [("person", 1_000, True, 1), (" old", 2_000, False, 18_001), (" new", 1_000, True, 1)],
)
async def test_a_term_that_the_newest_accounts_have_is_not_counted_far(
    fresh_database: Database, term: str, total: int, *, is_capped: bool, newest: int
) -> None:
    await execute(fresh_database, ACCOUNTS)
    await execute(fresh_database, AGED)
    wanted = AccountFilter(is_active=True, term=term)
    with recorded_statements(fresh_database) as sent:
        async with fresh_database.reading() as session:
            found, capped = await list_accounts(session, wanted, Window(50), max_counted=10_000)
    assert (found.total, capped, found.has_more) == (total, is_capped, True)
    assert [row.user_id for row in found.rows] == [f"usr_{n}" for n in range(newest, newest + 50)]
    assert any("10000" in sql for sql in sent) is not is_capped


async def plan_of_search(connection: asyncpg.Connection, term: str, *, among: Paged = RARE[True]) -> str:
    statement = among.first
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    assert isinstance(compiled, SQLCompiler)
    given = {**search_values(term), "max_counted": 10_000, "row_limit": 51}
    state = compiled.construct_expanded_state({f"given_{name}": value for name, value in given.items()})
    rows = await connection.fetch(f"EXPLAIN {state.statement}", *state.positional_parameters)
    return "\n".join(row[0] for row in rows)
