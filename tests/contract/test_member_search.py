"""Searching a tenant's members by a part of their name or address."""

import pytest
from support.world import World

from hoc.cus.account.L5_schemas.errors import InvalidInputError


async def named(world: World, tenant_id: str, owner: str, name: str, role: str = "member") -> str:
    user_id = await world.join(tenant_id, owner, role)
    async with world.transaction() as session:
        await world.engines.profiles.update(session, user_id, display_name=name)
    return user_id


async def found(world: World, tenant_id: str, search: str, **given: str) -> list[str]:
    async with world.reading() as session:
        page = await world.engines.members.list_users(session, tenant_id, search=search, **given)  # type: ignore[arg-type]
    assert page.value.total == len(page.value.items)
    assert not page.value.total_capped
    return [member.user_id for member in page.value.items]


async def test_members_are_found_by_name_and_address(world: World) -> None:
    (tenant_id, owner), (other_id, other) = await world.tenant(), await world.tenant()
    ada = await named(world, tenant_id, owner, "Ada Löwe", "admin")
    adam = await named(world, tenant_id, owner, "Adam 100% _x")
    await named(world, other_id, other, "Ada Elsewhere")
    assert await found(world, tenant_id, "ADA") == [ada, adam]
    assert await found(world, tenant_id, " lÖW ") == [ada]
    assert await found(world, tenant_id, "ada", role="admin") == [ada]
    assert await found(world, tenant_id, "0% _") == [adam]
    assert await found(world, tenant_id, "a%m") == []
    assert await found(world, tenant_id, "am") == []
    assert await found(world, tenant_id, "Lö") == await found(world, tenant_id, "l") == [ada]
    assert await found(world, tenant_id, "_") == [adam]
    async with world.reading() as session:
        [shown] = [
            member
            for member in (await world.engines.members.list_users(session, tenant_id)).value.items
            if member.user_id == ada
        ]
    assert await found(world, tenant_id, shown.email.upper()) == [ada]
    await world.deactivate(adam)
    assert await found(world, tenant_id, "ada") == [ada]
    assert await found(world, tenant_id, "ada", status="inactive") == [adam]


async def test_a_search_is_read_page_by_page(world: World) -> None:
    tenant_id, owner = await world.tenant()
    members = [await named(world, tenant_id, owner, f"Grace {n}") for n in range(3)]
    list_users = world.engines.members.list_users
    async with world.reading() as session:
        first = await list_users(session, tenant_id, search="grace", limit=2)
        second = await list_users(session, tenant_id, search="Grace", limit=2, cursor=first.next_cursor)
        with pytest.raises(InvalidInputError):
            await list_users(session, tenant_id, search="other", cursor=first.next_cursor)
        with pytest.raises(InvalidInputError):
            await list_users(session, tenant_id, search="x\x00")
        everybody = await list_users(session, tenant_id, search=" ")
    assert [[member.user_id for member in page.value.items] for page in (first, second)] == [
        members[:2],
        members[2:],
    ]
    assert (first.value.total, first.value.has_more, second.next_cursor) == (3, True, None)
    assert first.value.filters_applied == {"tenant_id": tenant_id, "search": "grace"}
    assert everybody.value.total == 4
