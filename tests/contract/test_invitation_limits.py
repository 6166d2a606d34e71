"""The daily limits of invitation mails, by tenant and by recipient."""

import pytest
from support.world import World

from hoc.cus.account.L5_schemas.errors import ConflictError, LimitExceededError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.port_types import InvitationLimits


async def test_a_tenant_has_a_daily_limit(world: World) -> None:
    (tenant_id, owner), (other_id, other) = await world.tenant(), await world.tenant()
    invitations = world.engines_with(Options(invitation_limits=InvitationLimits(3, 20))).invitations
    async with world.transaction() as session:
        for _ in range(3):
            await invitations.invite(session, tenant_id, owner, email=world.new_email())
        with pytest.raises(LimitExceededError) as refused:
            await invitations.invite(session, tenant_id, owner, email=world.new_email())
        assert refused.value.retry_after
        assert (await invitations.list(session, tenant_id, owner)).value.total == 3
        await invitations.invite(session, other_id, other, email=world.new_email())
    world.clock.advance(hours=14)  # to midnight UTC
    async with world.transaction() as session:
        await invitations.invite(session, tenant_id, owner, email=world.new_email())


async def test_a_recipient_has_a_daily_limit_across_tenants(world: World) -> None:
    tenants = [await world.tenant() for _ in range(3)]
    invitations = world.engines_with(Options(invitation_limits=InvitationLimits(100, 2))).invitations
    email = world.new_email()
    async with world.transaction() as session:
        for tenant_id, owner in tenants[:2]:
            await invitations.invite(session, tenant_id, owner, email=email)
        tenant_id, owner = tenants[2]
        with pytest.raises(LimitExceededError):
            await invitations.invite(session, tenant_id, owner, email=email.upper())
        await invitations.invite(session, tenant_id, owner, email=world.new_email())


async def test_revoking_or_sending_again_is_no_way_around(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invitations = world.engines_with(Options(invitation_limits=InvitationLimits(100, 3))).invitations
    email = world.new_email()
    async with world.transaction() as session:
        first = await invitations.invite(session, tenant_id, owner, email=email)
        await invitations.revoke(session, tenant_id, owner, first.id)
        second = await invitations.invite(session, tenant_id, owner, email=email)
        await invitations.resend(session, tenant_id, owner, second.id)
        before = await invitations.list(session, tenant_id, owner)
        with pytest.raises(LimitExceededError):
            await invitations.resend(session, tenant_id, owner, second.id)
        assert await invitations.list(session, tenant_id, owner) == before
    world.clock.advance(days=1)
    async with world.transaction() as session:
        assert (await invitations.resend(session, tenant_id, owner, second.id)).status == "pending"


async def test_a_refused_invitation_is_not_counted(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invitations = world.engines_with(Options(invitation_limits=InvitationLimits(2, 1))).invitations
    email = world.new_email()
    async with world.transaction() as session:
        invited = await invitations.invite(session, tenant_id, owner, email=email)
        for _ in range(3):
            with pytest.raises(ConflictError):
                await invitations.invite(session, tenant_id, owner, email=email)
        await invitations.revoke(session, tenant_id, owner, invited.id)
        for _ in range(3):
            with pytest.raises(LimitExceededError):
                await invitations.invite(session, tenant_id, owner, email=email)
        await invitations.invite(session, tenant_id, owner, email=world.new_email())
        with pytest.raises(LimitExceededError):
            await invitations.invite(session, tenant_id, owner, email=world.new_email())
