"""Seats: members and pending invitations count, and are never more than the quota."""

from datetime import timedelta
from typing import Any

import pytest
from support.world import World, outcome, refusal

from hoc.cus.account.L5_schemas.errors import LimitExceededError
from hoc.cus.account.L5_schemas.identity import AccountStatusChangeRequest
from hoc.cus.account.L5_schemas.port_types import Invitee

USED_UP = (LimitExceededError, "quota_exceeded")


async def seats_of(world: World, tenant_id: str) -> tuple[int, int]:
    """The seats that are taken, and the quota."""
    async with world.reading() as session:
        found = await world.engines.projects.get(session, tenant_id, tenant_id)
    assert found is not None
    return found.value.seats, found.value.max_members


async def invited(world: World, tenant_id: str, owner: str, email: str | None = None) -> Any:
    async with world.transaction() as session:
        address = email or world.new_email()
        return await outcome(world.engines.invitations.invite(session, tenant_id, owner, email=address))


async def full_tenant(world: World, *, seats: int = 3) -> tuple[str, str, list[Any]]:
    """A tenant whose owner has one seat, and open invitations the others."""
    tenant_id, owner = await world.tenant(seats=seats)
    invitations = [await invited(world, tenant_id, owner) for _ in range(seats - 1)]
    assert await seats_of(world, tenant_id) == (seats, seats)
    return tenant_id, owner, invitations


async def test_the_free_plan_has_ten_seats(world: World) -> None:
    tenant_id, owner = await world.tenant()
    for _ in range(4):
        await world.join(tenant_id, owner)
        await world.invite(tenant_id, owner)
    assert await seats_of(world, tenant_id) == (9, 10)
    assert (await invited(world, tenant_id, owner)).status == "pending"
    async with world.transaction() as session:
        beyond = world.engines.invitations.invite(session, tenant_id, owner, email=world.new_email())
        assert await refusal(beyond) == (
            *USED_UP,
            "The quota max_members of 10 is used up. Members and pending invitations count.",
        )
    assert await seats_of(world, tenant_id) == (10, 10)


@pytest.mark.parametrize("way", ["revoked", "declined", "expired", "left", "removed", "deactivated"])
async def test_whoever_goes_frees_a_seat(world: World, way: str) -> None:
    tenant_id, owner = await world.tenant(seats=3)
    member, email = await world.join(tenant_id, owner), world.new_email()
    person = await world.add_user(email)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    assert await invited(world, tenant_id, owner) == USED_UP
    engines = world.engines
    async with world.transaction() as session:
        if way == "revoked":
            await engines.invitations.revoke(session, tenant_id, owner, invitation_id)
        elif way == "declined":
            await engines.received_invitations.decline(session, person, invitation_id, token)
        elif way == "left":
            await engines.members.leave(session, tenant_id, member)
        elif way == "removed":
            await engines.members.remove(session, tenant_id, owner, member)
    if way == "deactivated":
        await world.deactivate(member)
    if way == "expired":
        world.clock.advance(days=7, minutes=1)
    assert await seats_of(world, tenant_id) == (2, 3)
    assert (await invited(world, tenant_id, owner)).status == "pending"
    assert await invited(world, tenant_id, owner) == USED_UP


async def test_an_invitation_keeps_its_seat_when_accepted(world: World) -> None:
    tenant_id, owner = await world.tenant(seats=2)
    invitation_id, token = await world.invite(tenant_id, owner)
    async with world.transaction() as session:
        assert (await world.engines.acceptances.accept(session, invitation_id, token)).success
    assert await seats_of(world, tenant_id) == (2, 2)
    assert await invited(world, tenant_id, owner) == USED_UP


async def test_an_expired_invitation_keeps_its_seat_a_minute(world: World) -> None:
    """It may be being accepted, by a server whose clock is behind. Its own address may be invited again."""
    tenant_id, owner, [first, _] = await full_tenant(world)
    world.clock.now = first.expires_at + timedelta(seconds=59)
    assert await seats_of(world, tenant_id) == (3, 3)
    assert await invited(world, tenant_id, owner) == USED_UP
    assert (await invited(world, tenant_id, owner, first.email)).email == first.email
    assert await seats_of(world, tenant_id) == (3, 3)


async def test_only_an_expired_invitation_needs_a_seat_anew(world: World) -> None:
    tenant_id, owner, [first, second] = await full_tenant(world)
    resend = world.engines.invitations.resend
    async with world.transaction() as session:
        assert (await resend(session, tenant_id, owner, first.id, expires_in_days=30)).status == "pending"
    world.clock.advance(days=8)
    assert (await invited(world, tenant_id, owner)).status == "pending"
    async with world.transaction() as session:
        assert await outcome(resend(session, tenant_id, owner, second.id)) == USED_UP
        await world.engines.invitations.revoke(session, tenant_id, owner, first.id)
        assert (await resend(session, tenant_id, owner, second.id)).status == "pending"
    assert await seats_of(world, tenant_id) == (3, 3)


async def test_a_batch_fills_the_seats_in_its_order(world: World) -> None:
    tenant_id, owner = await world.tenant(seats=3)
    rows = [Invitee(world.new_email()) for _ in range(4)]
    async with world.transaction() as session:
        batch = await world.engines.invitations.invite_many(session, tenant_id, owner, rows)
    codes = [None if each.problem is None else each.problem.code for each in batch.results]
    assert codes == [None, None, "quota_exceeded", "quota_exceeded"]
    assert await seats_of(world, tenant_id) == (3, 3)


async def test_a_lowered_quota_takes_nobody_out(world: World) -> None:
    tenant_id, owner, [first, second] = await full_tenant(world)
    member = await world.add_user(first.email)
    async with world.transaction() as session:
        await world.engines.projects.override_quotas(session, tenant_id, max_members=1)
        token = await world.draw(session, tenant_id, first.id)
        await world.engines.acceptances.accept(session, first.id, token)
        await world.engines.invitations.resend(session, tenant_id, owner, second.id)
    assert await world.role_of(tenant_id, member) == "member"
    assert await seats_of(world, tenant_id) == (3, 1)
    assert await invited(world, tenant_id, owner) == USED_UP


@pytest.mark.parametrize("deleted", [False, True])
async def test_an_account_comes_back_to_a_free_seat_only(world: World, *, deleted: bool) -> None:
    tenant_id, owner = await world.tenant(seats=2)
    member = await world.join(tenant_id, owner)
    await world.deactivate(member, deleted=deleted)
    taken = await invited(world, tenant_id, owner)
    active = AccountStatusChangeRequest(is_active=True)
    error, code, message = await refusal(world.accounts.change_account_status(member, active))
    assert (error, code) == USED_UP
    assert message.startswith(f"The tenant {tenant_id} has no seat for this account")
    assert await world.role_of(tenant_id, member) is None
    async with world.transaction() as session:
        await world.engines.invitations.revoke(session, tenant_id, owner, taken.id)
    assert await world.accounts.change_account_status(member, active)
    assert await world.accounts.change_account_status(member, active)
    assert await seats_of(world, tenant_id) == (2, 2)


async def test_a_closed_tenant_keeps_no_account_from_coming_back(world: World) -> None:
    tenant_id, owner = await world.tenant(seats=2)
    member = await world.join(tenant_id, owner)
    await world.deactivate(member)
    await invited(world, tenant_id, owner)
    await world.suspend(tenant_id, "terminated")
    assert await world.accounts.change_account_status(member, AccountStatusChangeRequest(is_active=True))
