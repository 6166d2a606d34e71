"""A statement about one member does not read the others, whichever plan PostgreSQL chooses."""

from typing import Any

import pytest
from sqlalchemy import ClauseElement, Executable
from sqlalchemy.sql.compiler import SQLCompiler
from support.seed import add_tenants, add_users, execute

from hoc.cus.account.L6_drivers import members, profiles
from hoc.database import Database

MEMBERS = 10_000
FEW_BLOCKS = 12
LARGE = "large"
JOIN = f"""
    WITH made AS (
      INSERT INTO account.users (user_id, email, email_key)
      SELECT 'm' || n, 'm' || n || '@x.y', 'm' || n || '@x.y'
      FROM generate_series(1, {MEMBERS}) AS n RETURNING user_id
    ), tenant AS (
      INSERT INTO account.tenants (tenant_id, name, slug) VALUES ('{LARGE}', 'Large', '{LARGE}')
    )
    INSERT INTO account.memberships (tenant_id, user_id, role)
    SELECT '{LARGE}', user_id, CASE user_id WHEN 'm1' THEN 'owner' ELSE 'member' END FROM made"""
ONE_MEMBER = {
    "members.ACCESS": members.ACCESS,
    "members.FIND": members.FIND,
    "members.SET_ROLE": members.SET_ROLE,
    "members.REMOVE": members.REMOVE,
    "profiles.FIND": profiles.FIND,
}
VALUES = {
    "given_tenant_id": LARGE,
    "given_user_id": f"m{MEMBERS - 100}",
    "given_tenant_ids": f"{{{LARGE}}}",
    "given_user_ids": f"{{m{MEMBERS - 100}}}",
    "given_role": "member",
    "given_actor": "m1",
    "given_now": "2026-03-14 10:00:00+00",
}


@pytest.fixture
async def database(fresh_database: Database) -> Database:
    await execute(fresh_database, JOIN)
    [owner] = await add_users(fresh_database, 1)
    await add_tenants(fresh_database, 1_000, {owner: "owner"})
    await execute(fresh_database, "ANALYZE account.memberships, account.users, account.tenants")
    return fresh_database


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("name", sorted(ONE_MEMBER))
async def test_one_member_is_found_without_the_others(database: Database, name: str, mode: str) -> None:
    assert 0 < await blocks_read(database, ONE_MEMBER[name], mode) <= FEW_BLOCKS


@pytest.mark.parametrize("name", ["members.ACCESS", "profiles.FIND"])
async def test_without_the_index_every_member_would_be_read(database: Database, name: str) -> None:
    await execute(database, "DROP INDEX account.ix_memberships_user")
    assert await blocks_read(database, ONE_MEMBER[name], "force_generic_plan") > 3 * FEW_BLOCKS


async def blocks_read(database: Database, statement: Executable, mode: str) -> int:
    """The blocks of memberships and its indexes that a statement reads, by its plan."""
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=database.engine.dialect)
    assert isinstance(compiled, SQLCompiler)
    values = {**compiled.params, **VALUES}
    given = ", ".join(_literal(values[name]) for name in compiled.positiontup or ())
    async with database.transaction() as session:
        driver: Any = (await session.get_raw_connection()).driver_connection
        await driver.execute(f"SET LOCAL plan_cache_mode = {mode}")
        await driver.execute(f"PREPARE one AS {compiled}")
        [[plan]] = await driver.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON, BUFFERS) EXECUTE one({given})")
        await driver.execute("DEALLOCATE one")
        await session.rollback()
    return _blocks(plan[0]["Plan"])


def _literal(value: object) -> str:
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def _blocks(plan: dict[str, Any]) -> int:
    is_scan = plan.get("Relation Name") == "memberships" and "Scan" in plan["Node Type"]
    own = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] if is_scan else 0
    return own + sum(_blocks(below) for below in plan.get("Plans", []))
