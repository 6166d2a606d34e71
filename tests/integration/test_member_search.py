"""A search among members: the text it compares, its ways to find the same, and what they read."""

from typing import Any

import asyncpg
import pytest
from sqlalchemy.dialects.postgresql import asyncpg as postgresql
from sqlalchemy.sql.compiler import SQLCompiler
from support.plans import MODES, blocks_read
from support.seed import add_tenants, add_users, damage, execute, scalar
from support.world import PostgresWorld

from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest, AccountUpdateRequest
from hoc.cus.account.L5_schemas.port_types import Window
from hoc.cus.account.L5_schemas.values import Role
from hoc.cus.account.L6_drivers.member_search import NEXT, RARE, search_members
from hoc.database import Database

SIZE = 6_000
MEMBERS = f"""
    WITH people AS (
      SELECT n, 'p' || n AS id, CASE WHEN n % 4 = 0 THEN 'grace ' ELSE 'ada ' END || n AS name
      FROM generate_series(1, {SIZE}) AS n
    ), accounts AS (
      INSERT INTO account.users (user_id, email, email_key, name, name_key)
      SELECT id, id || '@x.y', id || '@x.y', name, name FROM people
    )
    INSERT INTO account.memberships (tenant_id, user_id, role, joined_at, searched)
    SELECT '{{tenant}}', id, 'member', now() - n * interval '1 s', ' ' || id || E'@x.y\\n ' || name
    FROM people"""


@pytest.fixture
async def tenant(fresh_database: Database) -> str:
    [owner] = await add_users(fresh_database, 1)
    [tenant_id] = await add_tenants(fresh_database, 1, {owner: "owner"})
    await execute(fresh_database, MEMBERS.format(tenant=tenant_id))
    await execute(fresh_database, "ANALYZE account.users, account.memberships")
    return tenant_id


async def walk(database: Database, tenant_id: str, term: str, examined: int) -> list[str]:
    """The members on all pages of a search, ten a page. Every page but the last is full."""
    members: list[str] = []
    window: Window | None = Window(10)
    async with database.reading() as session:
        while window is not None:
            found, is_capped = await search_members(
                session, tenant_id, window, term=term, role=None, is_active=True, examined=examined
            )
            assert len(found.rows) == 10 or not found.has_more
            members += [member.user_id for member in found.rows]
            assert (found.total >= len(members)) or is_capped
            window = Window(10, after=found.last_key) if found.has_more else None
    return members


@pytest.mark.parametrize("examined", [0, 30, 1_000, SIZE + 2])
async def test_all_ways_find_the_same_full_pages(
    fresh_database: Database, tenant: str, examined: int
) -> None:
    expected = "SELECT string_agg(user_id, ' ' ORDER BY joined_at) FROM account.memberships WHERE "
    for term, condition in {
        "grace 16": "searched LIKE '%grace 16%'",
        "p599": "searched LIKE '%p599%'",
        " 59": "searched LIKE '% 59%'",
        "e 1": "searched LIKE '%e 1%'",
        "nobody": "false",
        " zz": "false",
    }.items():
        found = await walk(fresh_database, tenant, term, examined)
        assert " ".join(found) == (await scalar(fresh_database, expected + condition) or "")


async def test_a_common_term_has_a_part_of_the_total(fresh_database: Database, tenant: str) -> None:
    async with fresh_database.reading() as session:
        found, is_capped = await search_members(
            session, tenant, Window(50), term="ada", role=None, is_active=True
        )
        rare, is_rare_capped = await search_members(
            session, tenant, Window(50, offset=10), term="grace 16", role=Role.MEMBER, is_active=True
        )
    assert (len(found.rows), found.total, is_capped) == (50, 1_500, True)
    assert (len(rare.rows), rare.total, is_rare_capped) == (19, 29, False)


@pytest.mark.parametrize("mode", MODES)
async def test_the_next_members_are_read_in_order(fresh_database: Database, tenant: str, mode: str) -> None:
    values: dict[str, Any] = {"tenant_id": tenant, "term": "nobody", "row_limit": 51, "row_offset": 0}
    read = [
        await blocks_read(
            fresh_database,
            NEXT[False, True, False],
            {f"given_{name}": value for name, value in (values | {"max_examined": examined}).items()},
            table="memberships",
            mode=mode,
        )
        for examined in (100, SIZE)
    ]
    assert read[0] * 4 < read[1]


@pytest.mark.parametrize(("term", "pattern"), [("grace 16", "%grace 16%"), (" zz", "% zz%")])
async def test_a_rare_term_is_found_by_the_index_of_members(
    fresh_database_url: str, tenant: str, term: str, pattern: str
) -> None:
    compiled = RARE[False, True, False].compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    assert isinstance(compiled, SQLCompiler)
    given = {"tenant_id": tenant, "term": term, "pattern": pattern, "row_limit": 51, "row_offset": 0}
    state = compiled.construct_expanded_state({f"given_{name}": value for name, value in given.items()})

    async def plan() -> str:
        rows = await connection.fetch(f"EXPLAIN {state.statement}", *state.positional_parameters)
        return "\n".join(row[0] for row in rows)

    connection = await asyncpg.connect(fresh_database_url)
    try:
        await connection.execute("VACUUM account.memberships")
        assert "ix_memberships_search" in await plan()
        await connection.execute("DROP INDEX account.ix_memberships_search")
        assert "Seq Scan on memberships" in await plan(), "without the index every member would be read"
    finally:
        await connection.close()


async def test_the_text_follows_every_change_of_an_account(fresh_database: Database) -> None:
    world = PostgresWorld(fresh_database)
    team, accounts = await world.team(), world.accounts
    unproved = await world.add_user("Taken@x.example", email_verified=False)
    await add_tenants(fresh_database, 1, {unproved: "owner"})
    invitation_id, token = await world.invite(team.tenant_id, team.owner, "newcomer@x.example")
    async with world.transaction() as session:
        await world.engines.acceptances.accept(session, invitation_id, token)
        await world.engines.profiles.update(session, team.owner, display_name="Ada LÖWE")
    for address in ("newcomer@x.example", "taken@x.example"):
        await accounts.ensure_account(
            AccountEnsureRequest(world.new_id(), address, "Eve", email_verified=True, issuer="other")
        )
    await accounts.update_account_profile(team.admin, AccountUpdateRequest("Bob", "bob@bücher.example"))
    await accounts.update_own_profile(team.member, AccountUpdateRequest(email="changed@x.example"))
    email_token = await world.draw_email_token(team.member)
    assert email_token is not None
    await accounts.confirm_email_change(email_token)
    await accounts.delete_account(team.viewer)
    stored = "SELECT string_agg(searched, '|') FROM account.memberships"
    texts = await scalar(fresh_database, stored)
    assert isinstance(texts, str)
    assert {" taken@x.example\n ", " newcomer@x.example\n eve", " changed@x.example\n "} < {*texts.split("|")}
    assert " bob@xn--bcher-kva.example\n bob\n bob@bücher.example" in texts.split("|")
    assert any(text.endswith("\n ada löwe") for text in texts.split("|"))
    assert await damage(fresh_database) == []
