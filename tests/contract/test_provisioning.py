"""What follows from a tenant's directory: invitations, memberships, and roles by group."""

from typing import Any

import pytest
from support.directories import Directory
from support.world import World, refusal

from hoc.cus.account.L5_schemas.errors import (
    AccountValidationError,
    LastOwnerError,
    LimitExceededError,
    TenantNotActiveError,
)
from hoc.cus.account.L5_schemas.identity import AccountEnsureRequest

ACTOR = "scim:sct_1"


async def proved(world: World, *, seats: int | None = None) -> tuple[Directory, str, str]:
    """A tenant's directory, its owner, and a domain that it has proved."""
    tenant_id, owner = await world.tenant(seats=seats)
    domain = f"{world.new_email().partition('@')[0]}.example.org"
    async with world.transaction() as session:
        await world.engines.domains.claim(session, tenant_id, owner, domain)
        await world.engines.domain_checks.record(session, tenant_id, domain, "found")
    return Directory(world, tenant_id), owner, domain


async def refused(operation: Any) -> tuple[Any, str]:
    return (await refusal(operation))[:2]


async def events(directory: Directory, kind: str) -> list[tuple[str | None, Any]]:
    found = await directory.world.events(tenant_id=directory.tenant_id)
    return [(each.actor, each.data) for each in found if each.type.startswith(kind)]


async def test_a_new_user_is_invited_once(world: World) -> None:
    directory, owner, domain = await proved(world)
    email = f"ada@{domain}"
    await directory.user("ada", email)
    await directory.user("ada", email, was_active=True)
    assert await directory.invitations(owner) == [(email, "member", "pending", ACTOR)]
    created = await events(directory, "invitation.")
    assert [actor for actor, _ in created] == [ACTOR]
    assert created[0][1]["delivery"] == "queued"


async def test_a_verified_address_in_the_domain_joins(world: World) -> None:
    directory, owner, domain = await proved(world)
    user_id = await world.add_user(f"ada@{domain}")
    await directory.user("ada", "nothing", f"ADA@{domain}")
    assert await world.role_of(directory.tenant_id, user_id) == "member"
    assert await directory.invitations(owner) == []
    [_, (actor, data)] = await events(directory, "member.joined")
    assert (actor, data["user_id"], data["invited_by"]) == (ACTOR, user_id, ACTOR)


@pytest.mark.parametrize("verified", [True, False])
async def test_no_other_account_joins_by_itself(world: World, verified: bool) -> None:
    directory, owner, domain = await proved(world)
    email = world.new_email() if verified else f"eve@{domain}"
    user_id = await world.add_user(email, email_verified=verified)
    await directory.user("eve", email)
    assert await world.role_of(directory.tenant_id, user_id) is None
    assert [row[0] for row in await directory.invitations(owner, "pending")] == [email]


async def test_another_tenants_domain_lets_nobody_in(world: World) -> None:
    _, _, domain = await proved(world)
    directory, _, _ = await proved(world)
    user_id = await world.add_user(f"ada@{domain}")
    await directory.user("ada", f"ada@{domain}")
    assert await world.role_of(directory.tenant_id, user_id) is None


async def test_a_member_of_an_unproved_domain_is_linked(world: World) -> None:
    directory, owner, _ = await proved(world)
    email = world.new_email()
    user_id = await world.join(directory.tenant_id, owner, "admin", email=email)
    await directory.user("ada", email)
    assert await world.role_of(directory.tenant_id, user_id) == "admin"
    await directory.user("ada", email, is_active=False, was_active=True)
    assert await world.role_of(directory.tenant_id, user_id) is None


async def test_whoever_accepted_is_the_user_from_then_on(world: World) -> None:
    directory, owner, _ = await proved(world)
    email = world.new_email()
    user_id = await world.add_user(email)
    await directory.user("ada", email)
    await directory.accept(owner)
    assert await world.role_of(directory.tenant_id, user_id) == "member"
    other_id, other = await world.tenant()
    await world.join(other_id, other, email=email, user_id=user_id)

    await directory.user("ada", email, is_active=False, was_active=True)
    assert await world.role_of(directory.tenant_id, user_id) is None
    assert await world.role_of(other_id, user_id) == "member"
    await directory.user("ada", email)
    assert await world.role_of(directory.tenant_id, user_id) == "member"
    assert [actor for actor, _ in await events(directory, "member.removed")] == [ACTOR]
    assert len(await directory.invitations(owner)) == 1


async def test_a_user_who_is_not_active_is_not_invited(world: World) -> None:
    directory, owner, _ = await proved(world)
    email = world.new_email()
    await directory.user("ada", email, is_active=False)
    assert await directory.invitations(owner) == []
    await directory.user("ada", email)
    await directory.user("ada", email, is_active=False, was_active=True)
    assert [row[2] for row in await directory.invitations(owner)] == ["revoked"]
    assert [actor for actor, _ in await events(directory, "invitation.revoked")] == [ACTOR]


async def test_removing_a_user_ends_what_followed(world: World) -> None:
    directory, owner, domain = await proved(world)
    user_id = await world.add_user(f"ada@{domain}")
    await directory.user("ada", f"ada@{domain}")
    await directory.user("eve", world.new_email())
    await directory.remove("ada")
    await directory.remove("eve")
    assert await world.role_of(directory.tenant_id, user_id) is None
    assert [row[2] for row in await directory.invitations(owner)] == ["revoked"]


async def test_another_address_gets_another_invitation(world: World) -> None:
    directory, owner, _ = await proved(world)
    first, second = world.new_email(), world.new_email()
    await directory.user("ada", first)
    await directory.user("ada", second, was_active=True)
    listed = await directory.invitations(owner)
    assert {(row[0], row[2]) for row in listed} == {(first, "revoked"), (second, "pending")}
    await directory.user("ada", was_active=True)
    assert await directory.invitations(owner, "pending") == []


@pytest.mark.parametrize("emails", [(), ("",), ("ada", "ada@localhost", "a\x00@example.com")])
async def test_without_an_address_nothing_follows(world: World, emails: tuple[str, ...]) -> None:
    directory, owner, _ = await proved(world)
    await directory.user("ada", *emails)
    await directory.user("ada", *emails, is_active=False, was_active=True)
    assert await directory.invitations(owner) == []


async def test_an_invitation_by_hand_is_not_sent_again(world: World) -> None:
    directory, owner, _ = await proved(world)
    email = world.new_email()
    await world.invite(directory.tenant_id, owner, email)
    await directory.user("ada", email)
    assert await directory.invitations(owner) == [(email, "member", "pending", owner)]
    await directory.user("ada", email, is_active=False, was_active=True)
    assert [row[2] for row in await directory.invitations(owner)] == ["revoked"]


async def test_the_last_owner_stays(world: World) -> None:
    directory, owner, _ = await proved(world)
    email = world.new_email()
    second = await world.join(directory.tenant_id, owner, "owner", email=email)
    await directory.user("ada", email)
    async with world.transaction() as session:
        await world.engines.members.leave(session, directory.tenant_id, owner)
    for ends in (
        directory.user("ada", email, is_active=False, was_active=True),
        directory.remove("ada"),
    ):
        assert await refused(ends) == (LastOwnerError, "last_owner")
    assert await world.role_of(directory.tenant_id, second) == "owner"


async def test_groups_give_roles_and_the_highest_wins(world: World) -> None:
    directory, owner, domain = await proved(world)
    user_id = await world.add_user(f"ada@{domain}")
    await directory.give(owner, Readers="viewer", ADMINS="admin")
    await directory.user("ada", f"ada@{domain}", groups=["readers"])
    role_of = world.role_of
    assert await role_of(directory.tenant_id, user_id) == "viewer"
    await directory.regroup("ada", "Readers", "Admins", "Others")
    assert await role_of(directory.tenant_id, user_id) == "admin"
    await directory.regroup("ada", "Others")
    assert await role_of(directory.tenant_id, user_id) == "member"
    assert {actor for actor, _ in await events(directory, "member.role_changed")} == {ACTOR}


async def test_groups_neither_make_nor_unmake_an_owner(world: World) -> None:
    directory, owner, _ = await proved(world)
    email = world.new_email()
    second = await world.join(directory.tenant_id, owner, "owner", email=email)
    await directory.give(owner, Readers="viewer")
    await directory.user("ada", email, groups=["Readers"])
    await directory.regroup("ada", "Readers")
    assert await world.role_of(directory.tenant_id, second) == "owner"


async def test_where_no_group_gives_a_role_roles_stay(world: World) -> None:
    directory, owner, _ = await proved(world)
    email = world.new_email()
    user_id = await world.join(directory.tenant_id, owner, "viewer", email=email)
    await directory.user("ada", email, groups=["Admins"])
    await directory.regroup("ada", "Others")
    assert await world.role_of(directory.tenant_id, user_id) == "viewer"


async def test_an_invited_user_joins_in_the_groups_role(world: World) -> None:
    directory, owner, _ = await proved(world)
    email = world.new_email()
    user_id = await world.add_user(email)
    await directory.give(owner, Admins="admin")
    await directory.user("ada", email)
    await directory.regroup("ada", "Admins")
    assert [row[1] for row in await directory.invitations(owner)] == ["admin"]
    await directory.regroup("ada", "Admins")
    assert len(await events(directory, "invitation.role_changed")) == 1
    await directory.accept(owner)
    assert await world.role_of(directory.tenant_id, user_id) == "admin"


async def test_no_seat_and_no_suspended_tenant_is_given(world: World) -> None:
    directory, owner, domain = await proved(world, seats=1)
    user_id = await world.add_user(f"ada@{domain}")
    assert await refused(directory.user("ada", f"ada@{domain}")) == (LimitExceededError, "quota_exceeded")
    assert await refused(directory.user("eve", world.new_email())) == (LimitExceededError, "quota_exceeded")
    await world.suspend(directory.tenant_id)
    for writes in (directory.user("bob"), directory.remove("ada"), directory.regroup("ada", "Admins")):
        assert (await refused(writes))[0] is TenantNotActiveError
    await world.suspend(directory.tenant_id, "active")
    assert await world.role_of(directory.tenant_id, user_id) is None
    assert await directory.invitations(owner) == []


async def test_a_suspended_tenants_invitation_is_void(world: World) -> None:
    directory, owner, _ = await proved(world)
    await directory.user("ada", world.new_email())
    async with world.transaction() as session:
        page = await world.engines.invitations.list(session, directory.tenant_id, owner)
        token = await world.draw(session, directory.tenant_id, page.value.invitations[0].id)
    await world.suspend(directory.tenant_id)
    async with world.transaction() as session:
        accepting = world.engines.acceptances.accept(session, page.value.invitations[0].id, token)
        assert (await refused(accepting))[0] is TenantNotActiveError


async def test_no_account_has_a_directorys_name(world: World) -> None:
    """An invitation by such an account would be one by a directory, whose rights nobody checks."""
    with pytest.raises(AccountValidationError):
        await world.accounts.ensure_account(AccountEnsureRequest("scim:sct_1", world.new_email(), "Eve"))
