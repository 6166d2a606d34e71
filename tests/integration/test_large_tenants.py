"""A statement about one member does not read the others, whichever plan PostgreSQL chooses."""

import pytest
from support.plans import MODES, blocks_read
from support.seed import add_tenants, add_users, execute

from hoc.cus.account.L6_drivers import member_access, members, profiles
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
    "member_access.ACCESS": member_access.ACCESS,
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


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", sorted(ONE_MEMBER))
async def test_one_member_is_found_without_the_others(database: Database, name: str, mode: str) -> None:
    assert 0 < await read_of(database, name, mode) <= FEW_BLOCKS


async def read_of(database: Database, name: str, mode: str) -> int:
    """The blocks of memberships that a statement reads."""
    return await blocks_read(database, ONE_MEMBER[name], VALUES, table="memberships", mode=mode)
