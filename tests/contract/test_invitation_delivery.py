"""What became of an invitation's mail, and the link that its inviter passes on instead."""

from typing import Any

import pytest
from support.roles import EVERY_PAIR, RIGHTS, ROLES
from support.world import World, refusal

from hoc.cus.account.L5_schemas.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.results import InvitationLinkResult


async def delivery(world: World, tenant_id: str, owner: str) -> tuple[str | None, str | None]:
    """Of the tenant's newest invitation, as its inviter sees it."""
    async with world.reading() as session:
        listed = await world.engines.invitations.list(session, tenant_id, owner)
    newest = listed.value.invitations[0]
    return newest.delivery, newest.delivery_error


async def link(world: World, tenant_id: str, caller: str, invitation_id: str) -> InvitationLinkResult:
    async with world.transaction() as session:
        return await world.engines.invitations.link(session, tenant_id, caller, invitation_id)


async def email_verified(world: World, user_id: str) -> bool:
    async with world.transaction() as session:
        found = await world.engines.members.get_user(session, *(await _only_tenant(world, user_id), user_id))
    assert found is not None
    return found.value.email_verified


async def _only_tenant(world: World, user_id: str) -> str:
    async with world.reading() as session:
        page = await world.engines.members.list_memberships(session, user_id)
    return page.value.memberships[0].tenant_id


async def test_an_inviter_sees_what_became_of_the_mail(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invitation_id, _ = await world.invite(tenant_id, owner)
    assert await delivery(world, tenant_id, owner) == ("queued", None)
    async with world.transaction() as session:
        await world.settle_mail(session, tenant_id, invitation_id, delayed=True)
    assert await delivery(world, tenant_id, owner) == ("delayed", None)
    async with world.transaction() as session:
        await world.settle_mail(session, tenant_id, invitation_id, failure="no such mailbox")
    assert await delivery(world, tenant_id, owner) == ("failed", "no such mailbox")
    async with world.transaction() as session:
        await world.engines.invitations.resend(session, tenant_id, owner, invitation_id)
    assert await delivery(world, tenant_id, owner) == ("queued", None)
    async with world.transaction() as session:
        await world.settle_mail(session, tenant_id, invitation_id)
    assert await delivery(world, tenant_id, owner) == ("sent", None)


async def test_one_invitation_is_read_as_the_list_shows_it(world: World) -> None:
    team, (other_id, other) = await world.team(), await world.tenant()
    invitation_id, _ = await world.invite(team.tenant_id, team.owner)
    get = world.engines.invitations.get
    async with world.transaction() as session:
        await world.settle_mail(session, team.tenant_id, invitation_id, failure="no such mailbox")
    world.clock.advance(days=7)
    async with world.reading() as session:
        listed = await world.engines.invitations.list(session, team.tenant_id, team.admin)
        found = await get(session, team.tenant_id, team.admin, invitation_id)
        with pytest.raises(ForbiddenError):
            await get(session, team.tenant_id, team.member, invitation_id)
        with pytest.raises(NotFoundError):
            await get(session, other_id, other, invitation_id)
    assert found in listed.value.invitations
    assert (found.status, found.delivery_error) == ("expired", "no such mailbox")


async def test_a_mail_that_stays_delayed_is_one_event(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invitation_id, _ = await world.invite(tenant_id, owner)
    for _ in range(2):
        async with world.transaction() as session:
            await world.settle_mail(session, tenant_id, invitation_id, delayed=True)
    async with world.transaction() as session:
        await world.settle_mail(session, tenant_id, invitation_id)
    types = [event.type for event in await world.events(tenant_id=tenant_id)]
    assert types[-3:] == ["invitation.created", "invitation.mail_delayed", "invitation.mail_sent"]


async def test_the_facade_lists_what_became_of_the_mail(world: World) -> None:
    tenant_id, owner = await world.tenant()
    await world.invite(tenant_id, owner)
    async with world.reading() as session:
        listed = await world.facade.list_invitations(session, tenant_id, owner)
    assert [getattr(each, "delivery", None) for each in getattr(listed, "invitations", [])] == ["queued"]


async def test_a_link_is_given_instead_of_a_mail(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invitation_id, mailed = await world.invite(tenant_id, owner)
    given = await link(world, tenant_id, owner, invitation_id)
    assert given.link == f"http://127.0.0.1:8201/invitations/{invitation_id}#token={given.token}"
    assert given.token not in repr(given)
    assert await delivery(world, tenant_id, owner) == (None, None)
    async with world.transaction() as session:
        await world.settle_mail(session, tenant_id, invitation_id, failure="too late")
    assert await delivery(world, tenant_id, owner) == (None, None)
    async with world.transaction() as session:
        accept = world.engines.acceptances.accept
        assert (await refusal(accept(session, invitation_id, mailed)))[0] is NotFoundError
        assert (await accept(session, invitation_id, given.token)).success


async def test_a_resend_mails_again_and_voids_the_link(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invitation_id, _ = await world.invite(tenant_id, owner)
    given = await link(world, tenant_id, owner, invitation_id)
    async with world.transaction() as session:
        await world.engines.invitations.resend(session, tenant_id, owner, invitation_id)
        accept = world.engines.acceptances.accept(session, invitation_id, given.token)
        assert (await refusal(accept))[0] is NotFoundError
    assert await delivery(world, tenant_id, owner) == ("queued", None)


async def test_who_may_invite_to_a_role_may_have_the_link(world: World) -> None:
    team = await world.team(seats=100)
    callers = dict(zip(ROLES, team.everybody, strict=True))
    for caller, role in EVERY_PAIR:
        invitation_id, _ = await world.invite(team.tenant_id, team.owner, role=role)
        if role in RIGHTS[caller].may_grant:
            assert (await link(world, team.tenant_id, callers[caller], invitation_id)).token
        else:
            with pytest.raises(ForbiddenError):
                await link(world, team.tenant_id, callers[caller], invitation_id)


@pytest.mark.parametrize("end", ["revoked", "expired", "accepted"])
async def test_an_invitation_that_has_ended_has_no_link(world: World, end: str) -> None:
    tenant_id, owner = await world.tenant()
    invitation_id, token = await world.invite(tenant_id, owner)
    async with world.transaction() as session:
        if end == "revoked":
            await world.engines.invitations.revoke(session, tenant_id, owner, invitation_id)
        elif end == "accepted":
            await world.engines.acceptances.accept(session, invitation_id, token)
    if end == "expired":
        world.clock.advance(days=7)
    with pytest.raises(ConflictError, match=end):
        await link(world, tenant_id, owner, invitation_id)


async def test_a_link_that_was_not_mailed_verifies_no_address(world: World) -> None:
    """The inviter has it too, and must not get an account with somebody's verified address by it."""
    tenant_id, owner = await world.tenant()
    for holder in ("nobody", "unverified"):
        email = world.new_email()
        user_id = None if holder == "nobody" else await world.add_user(email, email_verified=False)
        invitation_id, _ = await world.invite(tenant_id, owner, email)
        given = await link(world, tenant_id, owner, invitation_id)
        async with world.transaction() as session:
            await world.engines.acceptances.accept(
                session, invitation_id, given.token, caller_user_id=user_id
            )
            listed = await world.engines.members.list_users(session, tenant_id)
        joined = next(each.user_id for each in listed.value.items if each.email == email)
        assert not await email_verified(world, joined)


async def test_an_unmailed_link_brings_no_account_in_by_itself(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    invited = await world.add_user(email)
    invitation_id, _ = await world.invite(tenant_id, owner, email)
    given = await link(world, tenant_id, owner, invitation_id)
    accept = world.engines.acceptances.accept
    async with world.transaction() as session:
        refused = await refusal(accept(session, invitation_id, given.token))
    assert refused[:2] == (ForbiddenError, "sign_in_required")
    async with world.transaction() as session:
        assert (await accept(session, invitation_id, given.token, caller_user_id=invited)).success


async def test_a_host_that_sends_no_mail_queues_none(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invitations = world.engines_with(Options(send_mail=False)).invitations
    async with world.transaction() as session:
        invited = await invitations.invite(session, tenant_id, owner, email=world.new_email())
        assert invited.delivery is None
        again = await invitations.resend(session, tenant_id, owner, invited.id)
        assert again.delivery is None
        await world.settle_mail(session, tenant_id, invited.id)
    assert await delivery(world, tenant_id, owner) == (None, None)


async def test_invitations_are_listed_by_their_delivery(world: World) -> None:
    tenant_id, owner = await world.tenant()
    (failed, _), (queued, _) = await world.invite(tenant_id, owner), await world.invite(tenant_id, owner)
    async with world.transaction() as session:
        await world.settle_mail(session, tenant_id, failed, failure="no such mailbox")
    filters: list[dict[str, Any]] = [
        {"delivery": "failed"},
        {"delivery": "queued", "status": "pending"},
        {"delivery": "failed", "status": "revoked"},
    ]
    async with world.reading() as session:
        listed = [
            (await world.engines.invitations.list(session, tenant_id, owner, **chosen)).value
            for chosen in filters
        ]
        with pytest.raises(InvalidInputError):
            await world.engines.invitations.list(session, tenant_id, owner, delivery="lost")
    assert [[each.id for each in page.invitations] for page in listed] == [[failed], [queued], []]
    assert [page.total for page in listed] == [1, 1, 0]
