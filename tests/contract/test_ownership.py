"""Transferring ownership in two steps."""

import pytest
from support.world import NOBODY, World

from hoc.cus.account.L5_schemas.errors import (
    ConflictError,
    ForbiddenError,
    NotAMemberError,
    NotFoundError,
    OwnMembershipError,
    TransferPendingError,
)


async def test_the_recipient_becomes_owner_and_the_offerer_admin(world: World) -> None:
    team = await world.team()
    ownership = world.engines.ownership
    async with world.transaction() as session:
        offer = await ownership.start(session, team.tenant_id, team.owner, team.member)
        assert (offer.from_user_id, offer.to_user_id) == (team.owner, team.member)
        assert (offer.expires_at - offer.created_at).days == 7
    assert await world.role_of(team.tenant_id, team.member) == "member", "nothing until it is accepted"
    async with world.transaction() as session:
        assert await ownership.accept(session, team.tenant_id, team.member) == offer
    assert await world.role_of(team.tenant_id, team.member) == "owner"
    assert await world.role_of(team.tenant_id, team.owner) == "admin"
    async with world.transaction() as session:
        with pytest.raises(NotFoundError):
            await ownership.accept(session, team.tenant_id, team.member)
        owners = await world.facade.list_users(session, team.tenant_id, role="owner")
        assert ([item.user_id for item in owners.items], owners.total) == ([team.member], 1)


async def test_only_an_owner_offers_and_only_to_another_member(world: World) -> None:
    team, other = await world.team(), await world.team()
    second = await world.join(team.tenant_id, team.owner, "owner")
    await world.deactivate(team.viewer)
    start = world.engines.ownership.start
    async with world.transaction() as session:
        for user_id in (team.admin, team.member):
            with pytest.raises(ForbiddenError):
                await start(session, team.tenant_id, user_id, second)
        with pytest.raises(OwnMembershipError):
            await start(session, team.tenant_id, team.owner, team.owner)
        with pytest.raises(ConflictError):
            await start(session, team.tenant_id, team.owner, second)
        for user_id in (team.viewer, other.member, NOBODY):
            with pytest.raises(NotFoundError):
                await start(session, team.tenant_id, team.owner, user_id)
        with pytest.raises(NotAMemberError):
            await start(session, team.tenant_id, other.owner, team.member)


async def test_one_offer_at_a_time(world: World) -> None:
    team = await world.team()
    ownership = world.engines.ownership
    async with world.transaction() as session:
        offer = await ownership.start(session, team.tenant_id, team.owner, team.member)
        with pytest.raises(TransferPendingError):
            await ownership.start(session, team.tenant_id, team.owner, team.admin)
        assert await ownership.get(session, team.tenant_id, team.owner) == offer


async def test_which_members_see_an_offer(world: World) -> None:
    team, other = await world.team(), await world.team()
    ownership = world.engines.ownership
    async with world.transaction() as session:
        offer = await ownership.start(session, team.tenant_id, team.owner, team.member)
        for user_id in (team.owner, team.admin, team.member):
            assert await ownership.get(session, team.tenant_id, user_id) == offer
        for user_id in (team.viewer, other.owner):
            with pytest.raises(NotFoundError):
                await ownership.get(session, team.tenant_id, user_id)


async def test_only_the_recipient_accepts(world: World) -> None:
    team, other = await world.team(), await world.team()
    ownership = world.engines.ownership
    async with world.transaction() as session:
        await ownership.start(session, team.tenant_id, team.owner, team.member)
        for user_id in (team.owner, team.admin, team.viewer, other.owner, NOBODY):
            with pytest.raises(NotFoundError):
                await ownership.accept(session, team.tenant_id, user_id)
    assert await world.role_of(team.tenant_id, team.owner) == "owner"


async def test_an_offer_ends_after_seven_days(world: World) -> None:
    team = await world.team()
    ownership = world.engines.ownership
    async with world.transaction() as session:
        await ownership.start(session, team.tenant_id, team.owner, team.member)
    world.clock.advance(days=7)
    async with world.transaction() as session:
        for late in (
            ownership.get(session, team.tenant_id, team.owner),
            ownership.accept(session, team.tenant_id, team.member),
            ownership.cancel(session, team.tenant_id, team.owner),
        ):
            with pytest.raises(NotFoundError):
                await late
        renewed = await ownership.start(session, team.tenant_id, team.owner, team.admin)
        assert renewed.to_user_id == team.admin
        assert renewed.created_at == world.clock.now
        assert (await ownership.accept(session, team.tenant_id, team.admin)) == renewed


async def test_a_demoted_owners_offer_is_void(world: World) -> None:
    team = await world.team()
    second = await world.join(team.tenant_id, team.owner, "owner")
    async with world.transaction() as session:
        await world.engines.ownership.start(session, team.tenant_id, team.owner, team.member)
        await world.engines.members.change_role(session, team.tenant_id, second, team.owner, "admin")
    async with world.transaction() as session:
        with pytest.raises(ForbiddenError):
            await world.engines.ownership.accept(session, team.tenant_id, team.member)
    assert await world.role_of(team.tenant_id, team.member) == "member"


async def test_a_removed_recipient_accepts_nothing(world: World) -> None:
    team = await world.team()
    async with world.transaction() as session:
        await world.engines.ownership.start(session, team.tenant_id, team.owner, team.member)
        await world.engines.members.remove(session, team.tenant_id, team.owner, team.member)
        with pytest.raises(NotAMemberError):
            await world.engines.ownership.accept(session, team.tenant_id, team.member)


async def test_an_owner_withdraws_and_the_recipient_declines(world: World) -> None:
    team = await world.team()
    second = await world.join(team.tenant_id, team.owner, "owner")
    ownership = world.engines.ownership
    for canceller in (team.owner, second, team.member):
        async with world.transaction() as session:
            offer = await ownership.start(session, team.tenant_id, team.owner, team.member)
            for user_id in (team.admin, team.viewer):
                with pytest.raises(NotFoundError):
                    await ownership.cancel(session, team.tenant_id, user_id)
            assert await ownership.cancel(session, team.tenant_id, canceller) == offer
            with pytest.raises(NotFoundError):
                await ownership.accept(session, team.tenant_id, team.member)
