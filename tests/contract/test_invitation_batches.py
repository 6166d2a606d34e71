"""Inviting many at once: a result for each row, in order, each refused or invited by itself."""

import pytest
from support.world import World

from hoc.cus.account.L5_schemas.errors import ForbiddenError, InvalidInputError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.port_types import InvitationLimits, Invitee
from hoc.cus.account.L5_schemas.results import InvitationBatchResult


def codes(batch: InvitationBatchResult) -> list[str | None]:
    return [None if each.problem is None else each.problem.code for each in batch.results]


def new_emails(world: World, count: int) -> list[str]:
    return [world.new_email() for _ in range(count)]


async def test_each_row_is_invited_or_refused_by_itself(world: World) -> None:
    tenant_id, owner = await world.tenant()
    admin, member_email, pending = await world.join(tenant_id, owner, "admin"), *new_emails(world, 2)
    await world.join(tenant_id, owner, email=member_email)
    new, other, again = new_emails(world, 3)
    rows = [
        Invitee(new, "viewer", 3),
        Invitee("no address"),
        Invitee(member_email.upper()),
        Invitee(pending),
        Invitee(other, "owner"),
        Invitee(other, "king"),  # type: ignore[arg-type]
        Invitee(other, expires_in_days=31),
        Invitee(again),
        Invitee(again.upper()),
    ]
    async with world.transaction() as session:
        await world.engines.invitations.invite(session, tenant_id, admin, email=pending)
        batch = await world.engines.invitations.invite_many(session, tenant_id, admin, rows)
        listed = (await world.engines.invitations.list(session, tenant_id, admin, status="pending")).value
    assert codes(batch) == [
        None,
        "invalid_input",
        "already_member",
        "already_pending",
        "forbidden",
        "invalid_input",
        "invalid_input",
        None,
        "already_pending",
    ]
    assert [each.email for each in batch.results] == [row.email for row in rows]
    assert (batch.invited, batch.refused) == (2, 7)
    first = batch.results[0].invitation
    assert first is not None
    assert (first.email, first.role, first.delivery) == (new, "viewer", "queued")
    assert first in listed.invitations
    assert {each.email for each in listed.invitations} == {new, pending, again}
    forbidden = batch.results[4].problem
    assert forbidden is not None
    assert (forbidden.status_code, "owner" in forbidden.detail) == (403, True)


@pytest.mark.parametrize(("per_tenant", "per_recipient"), [(3, 20), (100, 1)])
async def test_a_batch_stops_at_the_limits(world: World, per_tenant: int, per_recipient: int) -> None:
    """The first rows are invited, the ones beyond a limit are refused."""
    (tenant_id, owner), (other_id, other) = await world.tenant(), await world.tenant()
    limits = InvitationLimits(per_tenant, per_recipient)
    invitations = world.engines_with(Options(invitation_limits=limits)).invitations
    emails = new_emails(world, 5)
    async with world.transaction() as session:
        for email in emails[3:]:
            await invitations.invite(session, other_id, other, email=email)
        batch = await invitations.invite_many(session, tenant_id, owner, [*map(Invitee, emails)])
    assert codes(batch) == [None, None, None, "limit_exceeded", "limit_exceeded"]


async def test_a_batch_has_up_to_a_hundred_rows(world: World) -> None:
    tenant_id, owner = await world.tenant(seats=101)
    rows = [*map(Invitee, new_emails(world, 100))]
    async with world.transaction() as session:
        for wrong in ([], [*rows, Invitee(world.new_email())]):
            with pytest.raises(InvalidInputError):
                await world.engines.invitations.invite_many(session, tenant_id, owner, wrong)
        assert (await world.engines.invitations.invite_many(session, tenant_id, owner, rows)).invited == 100


async def test_only_managers_invite_many(world: World) -> None:
    team = await world.team()
    async with world.transaction() as session:
        with pytest.raises(ForbiddenError):
            await world.engines.invitations.invite_many(
                session, team.tenant_id, team.member, [Invitee(world.new_email())]
            )
