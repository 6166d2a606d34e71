"""One record for both sides: a change on the identity side has its effect in the tenants at once."""

import pytest
from support.world import World

from hoc.cus.account.L5_schemas.errors import (
    AccountValidationError,
    ForbiddenError,
    LastOwnerError,
    NotFoundError,
)
from hoc.cus.account.L5_schemas.identity import (
    AccountEnsureRequest,
    AccountPreferencesRequest,
    AccountStatusChangeRequest,
    AccountUpdateRequest,
)

ACTIVE, INACTIVE = AccountStatusChangeRequest(is_active=True), AccountStatusChangeRequest(is_active=False)


async def members(world: World, tenant_id: str) -> tuple[set[str], int, int]:
    """The listed members, the total of both lists, and the inactive members."""
    async with world.reading() as session:
        users = await world.facade.list_users(session, tenant_id)
        tenant_users = await world.facade.list_tenant_users(session, tenant_id)
        inactive = await world.facade.list_users(session, tenant_id, status="inactive")
    listed = {user.user_id for user in users.items}
    assert {user.user_id for user in tenant_users.users} == listed
    assert users.total == tenant_users.total == len(listed)
    assert inactive.total == len(inactive.items)
    return listed, users.total, inactive.total


async def test_each_side_sees_what_the_other_changed(world: World) -> None:
    request = AccountEnsureRequest(world.new_id(), world.new_email(), "Ada")
    await world.accounts.ensure_account(request)
    tenant_id, user_id = await world.tenant(request.user_id)
    email = world.new_email()
    await world.accounts.update_account_profile(user_id, AccountUpdateRequest(name="Ada L.", email=email))
    await world.accounts.update_account_preferences(user_id, AccountPreferencesRequest({"a": 1}))
    async with world.transaction() as session:
        profile = await world.engines.profiles.get(session, tenant_id, user_id)
        assert (profile.value.name, profile.value.email) == ("Ada L.", email)
        assert profile.value.preferences == {"a": 1}
        changed = await world.engines.profiles.update(
            session, user_id, display_name="Countess", preferences={"b": 2}
        )
        assert changed.version == profile.version + 1
    seen = await world.accounts.get_account_profile(user_id)
    assert (seen.name, seen.preferences) == ("Countess", {"a": 1, "b": 2})
    assert seen.updated_at == changed.value.updated_at


async def test_a_person_who_joined_by_invitation_has_an_account(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    invitation_id, token = await world.invite(tenant_id, owner, email)
    async with world.transaction() as session:
        await world.engines.acceptances.accept(session, invitation_id, token)
    account = await world.accounts.get_account_by_email(email.upper())
    assert account is not None
    assert (account.email, account.name, account.is_active) == (email, None, True)
    assert account.user_id in (await members(world, tenant_id))[0]


@pytest.mark.parametrize("deleted", [False, True])
async def test_memberships_go_with_the_account_and_come_back_with_it(world: World, *, deleted: bool) -> None:
    team, other = await world.team(), await world.team()
    admin = await world.accounts.get_account_profile(team.admin)
    await world.join(other.tenant_id, other.owner, "viewer", user_id=team.admin, email=admin.email)
    tenants = (team.tenant_id, other.tenant_id)
    before = [await members(world, tenant_id) for tenant_id in tenants]
    if deleted:
        await world.accounts.delete_account(team.admin)
    else:
        await world.accounts.change_account_status(team.admin, INACTIVE)
    for tenant_id, (listed, total, inactive) in zip(tenants, before, strict=True):
        left = (listed - {team.admin}, total - 1, inactive + (0 if deleted else 1))
        assert await members(world, tenant_id) == left
        assert await world.role_of(tenant_id, team.admin) is None
    async with world.transaction() as session:
        with pytest.raises(NotFoundError):
            await world.engines.members.change_role(session, team.tenant_id, team.owner, team.admin, "viewer")
    await world.accounts.change_account_status(team.admin, ACTIVE)
    assert [await members(world, tenant_id) for tenant_id in tenants] == before
    assert await world.role_of(team.tenant_id, team.admin) == "admin"
    assert await world.role_of(other.tenant_id, team.admin) == "viewer"


async def test_a_tenants_last_owner_stays(world: World) -> None:
    team, other = await world.team(), await world.team()
    account = await world.accounts.get_account_profile(other.owner)
    await world.join(team.tenant_id, team.owner, "owner", user_id=other.owner, email=account.email)
    before = [await members(world, tenant.tenant_id) for tenant in (team, other)]
    world.clock.advance(minutes=1)
    for operation in (
        world.accounts.delete_account(other.owner),
        world.accounts.change_account_status(other.owner, INACTIVE),
    ):
        with pytest.raises(LastOwnerError) as refused:
            await operation
        assert (refused.value.status_code, refused.value.error) == (409, "last_owner")
    assert await world.accounts.get_account_profile(other.owner) == account
    assert [await members(world, tenant.tenant_id) for tenant in (team, other)] == before
    # Either of the first tenant's two owners may be deactivated; the other is then the last.
    await world.accounts.delete_account(team.owner)
    with pytest.raises(LastOwnerError):
        await world.accounts.delete_account(other.owner)


@pytest.mark.parametrize("closed", ["terminated", "archived"])
async def test_a_closed_tenant_keeps_nobody(world: World, closed: str) -> None:
    team = await world.team()
    await world.suspend(team.tenant_id)
    with pytest.raises(LastOwnerError):
        await world.accounts.delete_account(team.owner)
    for status in ("terminated", "archived")[: 1 if closed == "terminated" else 2]:
        await world.suspend(team.tenant_id, status)
    assert await world.accounts.delete_account(team.owner)
    assert await world.accounts.change_account_status(team.owner, ACTIVE)
    assert await world.accounts.delete_account(team.owner)


async def test_a_refused_revival_brings_no_membership_back(world: World) -> None:
    team = await world.team()
    gone = await world.accounts.get_account_profile(team.member)
    await world.accounts.delete_account(team.member)
    await world.accounts.ensure_account(AccountEnsureRequest(world.new_id(), gone.email, "Heir"))
    before = await members(world, team.tenant_id)
    with pytest.raises(AccountValidationError):
        await world.accounts.change_account_status(team.member, ACTIVE)
    assert await members(world, team.tenant_id) == before
    assert await world.role_of(team.tenant_id, team.member) is None


async def test_an_heir_of_an_address_inherits_no_membership(world: World) -> None:
    team = await world.team()
    gone = await world.accounts.get_account_profile(team.admin)
    await world.accounts.delete_account(team.admin)
    heir, _ = await world.accounts.ensure_account(
        AccountEnsureRequest(world.new_id(), gone.email, gone.name or "Heir")
    )
    async with world.reading() as session:
        memberships = await world.engines.members.list_memberships(session, heir.user_id)
    assert memberships.value.total == 0
    assert await world.role_of(team.tenant_id, heir.user_id) is None


async def test_an_invitation_does_not_revive(world: World) -> None:
    """A deactivated account keeps its address, and a deleted one does not."""
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    gone = await world.join(tenant_id, owner, email=email)
    await world.accounts.change_account_status(gone, INACTIVE)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    async with world.transaction() as session:
        with pytest.raises(ForbiddenError) as deactivated:
            await world.engines.acceptances.accept(session, invitation_id, token)
    assert deactivated.value.error == "account_inactive"
    await world.accounts.delete_account(gone)
    async with world.transaction() as session:
        await world.engines.acceptances.accept(session, invitation_id, token)
    account = await world.accounts.get_account_by_email(email)
    assert account is not None
    assert account.user_id != gone
    assert await members(world, tenant_id) == ({owner, account.user_id}, 2, 0)
