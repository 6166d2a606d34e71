"""Roles by group: set by owners, compared without case, and the highest wins."""

from functools import partial

import pytest
from support.world import World, refusal, walk

from hoc.cus.account.L5_engines.scim_group_roles import MAX_GROUP_ROLES
from hoc.cus.account.L5_schemas.errors import (
    ForbiddenError,
    InvalidInputError,
    LimitExceededError,
    NotAMemberError,
    NotFoundError,
)
from hoc.cus.account.L5_schemas.values import AnyRole, Role


async def put(world: World, tenant_id: str, owner: str, group: str, role: AnyRole) -> None:
    async with world.transaction() as session:
        await world.engines.scim_group_roles.set(session, tenant_id, owner, group, role=role)


async def role_of(world: World, tenant_id: str, *groups: str) -> Role | None:
    async with world.reading() as session:
        return await world.engines.scim_group_roles.role_of(session, tenant_id, groups)


async def test_the_highest_role_wins(world: World) -> None:
    tenant_id, owner = await world.tenant()
    other, _ = await world.tenant()
    for group, role in (("Guests", "viewer"), ("Straße", "member"), ("Leads", "admin")):
        await put(world, tenant_id, owner, group, role)  # type: ignore[arg-type]  # a literal
    assert await role_of(world, tenant_id, "guests", "LEADS", "unknown") is Role.ADMIN
    assert await role_of(world, tenant_id, "STRASSE", "Guests") is Role.MEMBER
    assert await role_of(world, tenant_id, "unknown") is None
    assert await role_of(world, tenant_id) is None
    assert await role_of(world, other, "Leads") is None


async def test_a_group_has_one_role_as_it_was_last_set(world: World) -> None:
    tenant_id, owner = await world.tenant()
    await put(world, tenant_id, owner, "Leads", "admin")
    world.clock.advance(minutes=1)
    await put(world, tenant_id, owner, " LEADS ", "viewer")
    async with world.reading() as session:
        page = await world.engines.scim_group_roles.list(session, tenant_id, owner)
    [stored] = page.value.group_roles
    assert (stored.group, stored.role) == ("LEADS", "viewer")
    assert (stored.updated_at - stored.created_at).seconds == 60


async def test_a_removed_group_gives_no_role(world: World) -> None:
    tenant_id, owner = await world.tenant()
    await put(world, tenant_id, owner, "Leads", "admin")
    group_roles = world.engines.scim_group_roles
    async with world.transaction() as session:
        assert (await group_roles.remove(session, tenant_id, owner, "leads")).group == "Leads"
        for unknown in ("leads", "", "\x00", "x" * 300):
            again = await refusal(group_roles.remove(session, tenant_id, owner, unknown))
            assert again[0] is NotFoundError
    assert await role_of(world, tenant_id, "Leads") is None


@pytest.mark.parametrize(
    ("group", "role"), [("Leads", "owner"), ("Leads", "boss"), ("", "member"), ("a\nb", "member")]
)
async def test_a_wrong_group_or_role_is_refused(world: World, group: str, role: AnyRole) -> None:
    tenant_id, owner = await world.tenant()
    async with world.transaction() as session:
        refused = await refusal(
            world.engines.scim_group_roles.set(session, tenant_id, owner, group, role=role)
        )
    assert refused[0] is InvalidInputError


async def test_only_owners_have_to_do_with_roles_by_group(world: World) -> None:
    team, (_, others_owner) = await world.team(), await world.tenant()
    await put(world, team.tenant_id, team.owner, "Leads", "admin")
    group_roles = world.engines.scim_group_roles
    async with world.transaction() as session:
        for caller, error in ((team.admin, ForbiddenError), (others_owner, NotAMemberError)):
            calls = [
                group_roles.set(session, team.tenant_id, caller, "Leads", role="member"),
                group_roles.list(session, team.tenant_id, caller),
                group_roles.remove(session, team.tenant_id, caller, "Leads"),
            ]
            assert [(await refusal(call))[0] for call in calls] == [error] * 3


async def test_a_name_of_the_longest_form_is_stored(world: World) -> None:
    """Folding makes six bytes of each of these characters, and an index row holds 2,704."""
    tenant_id, owner = await world.tenant()
    longest = "\N{GREEK SMALL LETTER IOTA WITH DIALYTIKA AND TONOS}" * 255
    await put(world, tenant_id, owner, longest, "viewer")
    assert await role_of(world, tenant_id, longest) is Role.VIEWER


async def test_a_tenant_has_a_limited_number_of_groups(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoc.cus.account.L5_engines.scim_group_roles.MAX_GROUP_ROLES", 3)
    assert MAX_GROUP_ROLES == 500
    tenant_id, owner = await world.tenant()
    group_roles = world.engines.scim_group_roles
    async with world.transaction() as session:
        for number in range(3):
            await group_roles.set(session, tenant_id, owner, f"G{number}", role="viewer")
        refused = await refusal(group_roles.set(session, tenant_id, owner, "G3", role="viewer"))
        assert refused[:2] == (LimitExceededError, "quota_exceeded")
        await group_roles.set(session, tenant_id, owner, "g2", role="admin")
        pages = await walk(partial(group_roles.list, session, tenant_id, owner, limit=2))
    assert [row.group for page in pages for row in page.group_roles] == ["G0", "G1", "g2"]
