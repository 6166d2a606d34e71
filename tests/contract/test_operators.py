"""What operators read: one account whole, registrations by day, tenants."""

from datetime import timedelta
from typing import Any

import pytest
from support.world import World

from hoc.cus.account.L5_schemas.errors import AccountNotFoundError, InvalidInputError, NotFoundError
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest, AccountUpdateRequest
from hoc.cus.account.L5_schemas.operators import RegistrationsOfDay
from hoc.cus.account.L5_schemas.values import TenantStatus


async def test_an_account_is_read_whole_in_any_state(world: World) -> None:
    user_id = await world.add_user()
    tenant_id, _ = await world.tenant(user_id)
    await world.accounts.link_identity(user_id, f"ada-{user_id}", issuer="https://issuer.example.com")
    change = AccountUpdateRequest(email=world.new_email())
    await world.accounts.update_own_profile(user_id, change)
    for state in ("active", "deactivated"):
        async with world.reading() as session:
            whole = await world.engines.operators.get_account(session, user_id)
        assert whole.account.user_id == user_id
        assert whole.account.is_active is (state == "active")
        assert whole.email_change is not None
        assert whole.email_change.email == change.email
        assert [each.subject for each in whole.identities] == [f"ada-{user_id}"]
        assert [(each.tenant_id, each.role) for each in whole.memberships] == [(tenant_id, "owner")]
        assert whole.memberships_total == 1
        if state == "active":
            await world.suspend(tenant_id, "terminated")
            await world.deactivate(user_id)


async def test_an_unknown_account_is_not_found(world: World) -> None:
    async with world.reading() as session:
        for user_id in (world.new_id(), "a\0b", ""):
            with pytest.raises(AccountNotFoundError):
                await world.engines.operators.get_account(session, user_id)


async def test_registrations_are_counted_by_utc_day(empty_world: World) -> None:
    world = empty_world
    today = world.clock.now.date()
    for days_ago, accounts in ((2, 3), (1, 1), (0, 2)):
        world.clock.now = world.clock.now.replace(day=today.day - days_ago)
        for number in range(accounts):
            request = AccountEnsureRequest(world.new_id(), world.new_email(), f"Person {number}")
            await world.accounts.ensure_account(request)
    async with world.reading() as session:
        counted = await world.engines.operators.get_statistics(session, days=4)
        for days in (0, 32):
            with pytest.raises(InvalidInputError):
                await world.engines.operators.get_statistics(session, days=days)
    assert counted.stats == await world.accounts.get_service_stats()
    assert counted.days == [
        RegistrationsOfDay(today - timedelta(days=days_ago), accounts)
        for days_ago, accounts in ((3, 0), (2, 3), (1, 1), (0, 2))
    ]


async def listed(world: World, **wanted: Any) -> list[str]:
    """The ids of the tenants, two a page."""
    found: list[str] = []
    cursor: str | None = None
    async with world.reading() as session:
        while True:
            page = await world.engines.operators.list_tenants(session, limit=2, cursor=cursor, **wanted)
            found += [each.tenant_id for each in page.value.tenants]
            cursor = page.next_cursor
            if cursor is None:
                return found


async def test_tenants_are_listed_filtered_and_found(empty_world: World) -> None:
    world = empty_world
    owner = await world.add_user()
    ids: list[str] = []
    for name in ("Ünïcödé & Söhne", "100% Wool_Works", "Acme One", "Acme Two", "Acme Three"):
        world.clock.advance(minutes=1)
        async with world.transaction() as session:
            created = await world.engines.projects.create(session, owner, name=name)
        ids.insert(0, created.value.project_id)
    async with world.transaction() as session:
        await world.engines.projects.change_status(session, ids[0], TenantStatus.SUSPENDED)
    assert await listed(world) == ids
    assert await listed(world, status="suspended") == ids[:1]
    assert await listed(world, search="ACME") == ids[:3]
    assert await listed(world, search="acme", status="active") == ids[1:3]
    assert await listed(world, search="unicode-sohne") == ids[4:]
    assert await listed(world, search="100% wool_") == [ids[3]]
    assert await listed(world, search="100%_wool") == []
    assert await listed(world, search=ids[2]) == [ids[2]]
    refused: list[dict[str, Any]] = [
        {"search": "ac"},
        {"search": "a\0bc"},
        {"status": "gone"},
        {"cursor": "x"},
    ]
    for wrong in refused:
        async with world.reading() as session:
            with pytest.raises(InvalidInputError):
                await world.engines.operators.list_tenants(session, **wrong)


async def test_a_dead_letter_that_is_not_there_is_not_retried(world: World) -> None:
    async with world.transaction() as session:
        with pytest.raises(NotFoundError):
            await world.engines.operators.retry_dead_letters(session, [world.new_id()])
