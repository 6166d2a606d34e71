"""An import of memberships: roles, seats, what is refused, and doing it again."""

import io
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from support.postgres import opened
from support.world import PostgresWorld, RealClock

from hoc.bulk.files import Rejection, Rows
from hoc.bulk.importing import ImportCounts, Outcome
from hoc.bulk.memberships import MEMBERSHIP_COLUMNS, import_memberships


@pytest.fixture
async def world(fresh_database_url: str) -> AsyncGenerator[PostgresWorld]:
    async with opened(fresh_database_url) as database:
        yield PostgresWorld(database, RealClock())


async def run(
    url: str, lines: list[str], *, is_trial: bool = False
) -> tuple[ImportCounts, list[str], list[str]]:
    content = "\n".join(["tenant_id,user_id,role", *lines, ""]).encode()
    file = cast("io.BufferedReader", io.BufferedReader(io.BytesIO(content)))
    rejections, outcomes = list[Rejection](), list[Outcome]()
    counts = await import_memberships(
        url,
        Rows(file, "m.csv", required=MEMBERSHIP_COLUMNS, known=MEMBERSHIP_COLUMNS),
        report=rejections.append,
        progress=lambda _: None,
        tell=outcomes.append if is_trial else None,
    )
    return counts, [str(each) for each in rejections], [str(each) for each in outcomes]


async def settled(world: PostgresWorld) -> dict[Any, Any]:
    return {key: row for key, row in (await world.rows()).items() if key[0] != "leases"}


async def test_members_get_their_roles_and_bad_lines_lose_nothing(
    fresh_database_url: str, world: PostgresWorld
) -> None:
    tenant_id, owner = await world.tenant(seats=4)
    closed, _ = await world.tenant()
    await world.suspend(closed)
    ada, eve, zoe, gone = [await world.add_user() for _ in range(4)]
    await world.deactivate(gone)
    lines = [
        f"{tenant_id},{ada},admin",
        f"{tenant_id},{ada},viewer",
        f"{tenant_id},{owner},viewer",
        f"{tenant_id},{eve},boss",
        f"ten_none,{eve},member",
        f"{closed},{eve},member",
        f"{tenant_id},nobody,member",
        f"{tenant_id},{gone},member",
        f"{tenant_id},{eve},owner",
        f"{tenant_id},{zoe},viewer",
        f"{tenant_id},{await world.add_user()},viewer",
    ]
    before = await settled(world)
    trial = await run(fresh_database_url, lines, is_trial=True)
    assert await settled(world) == before
    counts, rejections, _ = await run(fresh_database_url, lines)
    assert trial[:2] == (counts, rejections)
    assert trial[2] == [
        "line 2: would be imported",
        "line 3: is already there",
        "line 4: is already there",
        "line 10: would be imported",
        "line 11: would be imported",
    ]
    assert counts == ImportCounts(imported=3, already_there=2, rejected=6)
    assert [line.partition(" must be one of")[0] for line in rejections] == [
        "line 5: role:",
        "line 6: tenant_id: there is no such tenant",
        "line 7: tenant_id: the tenant is suspended",
        "line 8: user_id: there is no such account",
        "line 9: user_id: the account is not active",
        "line 12: tenant_id: the tenant has no seat left (max_members)",
    ]
    roles = [await world.role_of(tenant_id, user) for user in (owner, ada, eve, zoe)]
    assert roles == ["owner", "admin", "owner", "viewer"]
    joined = [event for event in await world.events(tenant_id=tenant_id) if event.type == "member.joined"]
    assert {event.user_id for event in joined} == {owner, ada, eve, zoe}
    async with world.reading() as session:
        listed = await world.facade.list_users(session, tenant_id)
        found = await world.engines.members.list_users(session, tenant_id, search="person")
    assert listed.total == len(found.value.items) == 4
    after = await settled(world)
    again, _, _ = await run(fresh_database_url, lines)
    assert again == ImportCounts(imported=0, already_there=5, rejected=6)
    assert await settled(world) == after
