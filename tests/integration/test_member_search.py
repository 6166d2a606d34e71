"""A search among members reads a bounded number of rows, and finds the same by each of its ways."""

from typing import Any

import pytest
from support.plans import MODES, blocks_read
from support.seed import add_tenants, add_users, execute

from hoc.cus.account.L5_schemas.port_types import Window
from hoc.cus.account.L6_drivers.member_search import COMMON, MAX_CANDIDATES, search_members
from hoc.database import Database

MEMBERS = """
    WITH people AS (
      SELECT n, 'p' || n AS id, CASE WHEN n % 4 = 0 THEN 'grace ' ELSE 'ada ' END || n AS name
      FROM generate_series(1, 6000) AS n
    ), accounts AS (
      INSERT INTO account.users (user_id, email, email_key, name, name_key)
      SELECT id, id || '@x.y', id || '@x.y', name, name FROM people
    )
    INSERT INTO account.memberships (tenant_id, user_id, role, joined_at)
    SELECT '{tenant}', id, 'member', now() - n * interval '1 s' FROM people"""


@pytest.fixture
async def tenant(fresh_database: Database) -> str:
    [owner] = await add_users(fresh_database, 1)
    [tenant_id] = await add_tenants(fresh_database, 1, {owner: "owner"})
    await execute(fresh_database, MEMBERS.format(tenant=tenant_id))
    await execute(fresh_database, "ANALYZE account.users, account.memberships")
    return tenant_id


async def walk(database: Database, tenant_id: str, term: str, **bounds: int) -> list[str]:
    """The members on all pages of a search, ten a page."""
    members: list[str] = []
    window: Window | None = Window(10)
    async with database.reading() as session:
        while window is not None:
            found, _ = await search_members(
                session, tenant_id, window, term=term, role=None, is_active=True, **bounds
            )
            assert len(found.rows) <= window.limit
            members += [member.user_id for member in found.rows]
            window = Window(10, after=found.last_key) if found.has_more else None
    return members


@pytest.mark.parametrize("examined", [50, 1_000, 6_001])
async def test_both_ways_find_the_same(fresh_database: Database, tenant: str, examined: int) -> None:
    for term in ("grace 16", "p599", "nobody"):
        rare = await walk(fresh_database, tenant, term)
        common = await walk(fresh_database, tenant, term, max_candidates=-1, max_examined=examined)
        assert common == rare
        assert len(set(rare)) == len(rare)
        assert bool(rare) is (term != "nobody")


async def test_a_term_of_many_accounts_is_common(fresh_database: Database, tenant: str) -> None:
    async with fresh_database.reading() as session:
        found, capped = await search_members(
            session, tenant, Window(50), term="ada", role=None, is_active=True
        )
    assert (len(found.rows), capped) == (50, True)
    assert found.total <= MAX_CANDIDATES


@pytest.mark.parametrize("mode", MODES)
async def test_a_common_term_reads_a_bounded_number(fresh_database: Database, tenant: str, mode: str) -> None:
    values: dict[str, Any] = {"tenant_id": tenant, "term": "nobody", "row_limit": 51, "row_offset": 0}
    read = [
        await blocks_read(
            fresh_database,
            COMMON[False, True, False],
            {f"given_{name}": value for name, value in (values | {"max_examined": examined}).items()},
            table="memberships",
            mode=mode,
        )
        for examined in (100, 6_000)
    ]
    assert read[0] * 4 < read[1]
