"""Invitations: created, mailed, sent again, revoked, expired, accepted."""

from functools import partial

import pytest
from support.roles import EVERY_PAIR, RIGHTS, ROLES
from support.world import NOWHERE, World, refusal, walk

from hoc.cus.account.L5_schemas.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    InvitationExpiredError,
    NotAMemberError,
    NotFoundError,
    TenantNotActiveError,
)


async def test_which_roles_may_invite_as_which(world: World) -> None:
    team = await world.team(seats=100)
    inviters = dict(zip(ROLES, team.everybody, strict=True))
    async with world.transaction() as session:
        for inviter, role in EVERY_PAIR:
            email = world.new_email()
            invite = world.engines.invitations.invite(
                session,
                team.tenant_id,
                inviters[inviter],
                email=email,
                role=role,  # type: ignore[arg-type]  # any text
            )
            if role in RIGHTS[inviter].may_grant:
                invited = await invite
                assert (invited.email, invited.role, invited.status) == (email, role, "pending")
                assert invited.invited_by == inviters[inviter]
            else:
                with pytest.raises(ForbiddenError):
                    await invite


async def test_an_invitation_lasts_seven_days_or_as_asked(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invite = world.engines.invitations.invite
    async with world.transaction() as session:
        usual = await invite(session, tenant_id, owner, email=world.new_email())
        assert usual.created_at == world.clock.now
        assert (usual.expires_at - usual.created_at).days == 7
        for days in (1, 30):
            asked = await invite(session, tenant_id, owner, email=world.new_email(), expires_in_days=days)
            assert (asked.expires_at - asked.created_at).days == days
        for days in (0, 31, -1):
            with pytest.raises(InvalidInputError):
                await invite(session, tenant_id, owner, email=world.new_email(), expires_in_days=days)


async def test_bad_input_is_refused(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invite = world.engines.invitations.invite
    async with world.transaction() as session:
        for email in ("", "nobody", "a@b@c.de", "a\x00@example.com", "a@example.com\nBcc: b@example.com"):
            with pytest.raises(InvalidInputError):
                await invite(session, tenant_id, owner, email=email)
        for role in ("OWNER", "guest", ""):
            with pytest.raises(InvalidInputError):
                await invite(session, tenant_id, owner, email=world.new_email(), role=role)  # type: ignore[arg-type]  # any text


async def test_one_is_pending_for_each_tenant_and_address(world: World) -> None:
    (tenant_id, owner), (other_id, other) = await world.tenant(), await world.tenant()
    email = world.new_email()
    invite = world.engines.invitations.invite
    async with world.transaction() as session:
        first = await invite(session, tenant_id, owner, email=email)
        for same in (email, email.upper(), f" {email} "):
            with pytest.raises(ConflictError) as pending:
                await invite(session, tenant_id, owner, email=same)
            assert pending.value.error == "already_pending"
        await invite(session, other_id, other, email=email)
        listed = await world.engines.invitations.list(session, tenant_id, owner)
        assert listed.value.invitations == [first]
        await world.engines.invitations.revoke(session, tenant_id, owner, first.id)
        assert (await invite(session, tenant_id, owner, email=email)).id != first.id


async def test_a_member_is_not_invited(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.join(tenant_id, owner, email=email)
    async with world.transaction() as session:
        with pytest.raises(ConflictError) as member:
            await world.engines.invitations.invite(session, tenant_id, owner, email=email.title())
        assert member.value.error == "already_member"
    await world.deactivate(user_id)
    async with world.transaction() as session:
        await world.engines.invitations.invite(session, tenant_id, owner, email=email)


async def test_an_expired_invitation_is_shown_so_and_replaced(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    expired_id, token = await world.invite(tenant_id, owner, email)
    world.clock.advance(days=7)
    invitations = world.engines.invitations
    acceptances = world.engines.acceptances
    async with world.transaction() as session:
        with pytest.raises(InvitationExpiredError):
            await acceptances.accept(session, expired_id, token)
        expired = (await invitations.list(session, tenant_id, owner, status="expired")).value
        assert [(item.id, item.status) for item in expired.invitations] == [(expired_id, "expired")]
        assert expired.total == 1
        assert (await invitations.list(session, tenant_id, owner, status="pending")).value.total == 0
        renewed = await invitations.invite(session, tenant_id, owner, email=email)
        assert renewed.id != expired_id
        listed = (await invitations.list(session, tenant_id, owner)).value
        assert listed.invitations == [renewed]
        with pytest.raises(NotFoundError):
            await acceptances.accept(session, expired_id, token)


async def test_accepting_makes_an_account_for_the_invited_address(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email().replace("person", "Person")
    invitation_id, token = await world.invite(tenant_id, owner, email, "admin")
    world.clock.advance(hours=1)
    async with world.transaction() as session:
        accepted = await world.facade.accept_invitation(session, invitation_id, token)
        assert (accepted.success, accepted.tenant_id, accepted.role) == (True, tenant_id, "admin")
        users = await world.facade.list_users(session, tenant_id, role="admin")
        [user] = users.items
        assert (user.email, user.created_at) == (email, world.clock.now)
        detail = await world.facade.get_user_detail(session, tenant_id, user.user_id)
        assert detail is not None
        assert (detail.email_verified, detail.invited_by) == (True, owner)
        listed = await world.engines.invitations.list(session, tenant_id, owner, status="accepted")
        assert [item.id for item in listed.value.invitations] == [invitation_id]


async def test_accepting_again_is_the_same_answer(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email.upper())
    invitation_id, token = await world.invite(tenant_id, owner, email)

    async def accept(caller: str | None) -> object:
        async with world.transaction() as session:
            return await world.engines.acceptances.accept(
                session, invitation_id, token, caller_user_id=caller
            )

    answers = [await accept(caller) for caller in (None, user_id, None)]
    assert answers == [answers[0]] * 3
    async with world.reading() as session:
        assert (await world.facade.list_users(session, tenant_id)).total == 2
    assert await world.role_of(tenant_id, user_id) == "member"


async def test_an_acceptance_is_for_the_invited_account_only(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email, somebody = world.new_email(), await world.add_user()
    invitation_id, token = await world.invite(tenant_id, owner, email)
    accept = world.engines.acceptances.accept
    async with world.transaction() as session:
        for caller in (somebody, owner):
            with pytest.raises(ForbiddenError):
                await accept(session, invitation_id, token, caller_user_id=caller)
    user_id = await world.add_user(email)
    async with world.transaction() as session:
        with pytest.raises(ForbiddenError):
            await accept(session, invitation_id, token, caller_user_id=somebody)
        pending = await world.engines.invitations.list(session, tenant_id, owner, status="pending")
        assert pending.value.total == 1
        assert (await accept(session, invitation_id, token, caller_user_id=user_id)).success
        with pytest.raises(ForbiddenError):
            await accept(session, invitation_id, token, caller_user_id=somebody)
    assert await world.role_of(tenant_id, somebody) is None


async def test_an_unverified_account_joins_only_when_signed_in(world: World) -> None:
    """The token was mailed to its address, so the address is verified by accepting."""
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email, email_verified=False)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    accept = world.engines.acceptances.accept
    async with world.transaction() as session:
        with pytest.raises(ForbiddenError) as unverified:
            await accept(session, invitation_id, token)
        assert unverified.value.error == "sign_in_required"
        assert (await accept(session, invitation_id, token, caller_user_id=user_id)).success
        detail = await world.facade.get_user_detail(session, tenant_id, user_id)
        assert detail is not None
        assert (detail.role, detail.email_verified) == ("member", True)


async def test_a_wrong_token_and_no_invitation_are_one_answer(world: World) -> None:
    (tenant_id, owner), (other_id, other) = await world.tenant(), await world.tenant()
    invitation_id, token = await world.invite(tenant_id, owner)
    other_invitation, other_token = await world.invite(other_id, other)
    async with world.transaction() as session:
        unmailed = await world.engines.invitations.invite(session, tenant_id, owner, email=world.new_email())
    secret = token.partition(".")[2]
    attempts = [
        (invitation_id, ""),
        (invitation_id, "."),
        (invitation_id, secret),
        (invitation_id, f"{tenant_id}."),
        (invitation_id, f".{secret}"),
        (invitation_id, f"{tenant_id}.{secret[:-1]}"),
        (invitation_id, f"{token}x"),
        (invitation_id, token.swapcase()),
        (invitation_id, f"{other_id}.{secret}"),
        (invitation_id, f"{NOWHERE}.{secret}"),
        (invitation_id, "\x00.\x00"),
        (invitation_id, f"{tenant_id}.\ud800"),
        (invitation_id, "x" * 100_000),
        (invitation_id, other_token),
        (other_invitation, token),
        (unmailed.id, token),
        (unmailed.id, f"{tenant_id}."),
        ("inv_none", token),
        ("", token),
        ("\x00", token),
        ("x" * 100_000, token),
    ]
    async with world.transaction() as session:
        answers = {await refusal(world.engines.acceptances.accept(session, *attempt)) for attempt in attempts}
        assert len(answers) == 1
        assert next(iter(answers))[0] is NotFoundError
        assert (await world.engines.acceptances.accept(session, invitation_id, token)).success


async def test_sending_again_gives_a_new_term_and_kills_the_old_link(world: World) -> None:
    team = await world.team()
    invitation_id, old = await world.invite(team.tenant_id, team.owner)
    world.clock.advance(days=3)
    invitations = world.engines.invitations
    acceptances = world.engines.acceptances
    async with world.transaction() as session:
        sent = await invitations.resend(session, team.tenant_id, team.admin, invitation_id)
        assert (sent.id, sent.status, sent.invited_by) == (invitation_id, "pending", team.admin)
        assert (sent.expires_at - world.clock.now).days == 7
        with pytest.raises(NotFoundError):
            await acceptances.accept(session, invitation_id, old)
        new = await world.draw(session, team.tenant_id, invitation_id)
        newest = await world.draw(session, team.tenant_id, invitation_id)
        for dead in (old, new):
            with pytest.raises(NotFoundError):
                await acceptances.accept(session, invitation_id, dead)
        assert (await acceptances.accept(session, invitation_id, newest)).success


async def test_sending_again_revives_the_expired_but_nothing_else(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invitations = world.engines.invitations
    acceptances = world.engines.acceptances
    accepted, token = await world.invite(tenant_id, owner)
    revoked, _ = await world.invite(tenant_id, owner)
    expired, _ = await world.invite(tenant_id, owner)
    async with world.transaction() as session:
        await acceptances.accept(session, accepted, token)
        await invitations.revoke(session, tenant_id, owner, revoked)
    world.clock.advance(days=8)
    async with world.transaction() as session:
        assert (await invitations.resend(session, tenant_id, owner, expired)).status == "pending"
        for invitation_id in (accepted, revoked):
            with pytest.raises(ConflictError):
                await invitations.resend(session, tenant_id, owner, invitation_id)
        for days in (0, 31):
            with pytest.raises(InvalidInputError):
                await invitations.resend(session, tenant_id, owner, expired, expires_in_days=days)


async def test_a_revoked_invitation_is_dead(world: World) -> None:
    team = await world.team()
    invitation_id, token = await world.invite(team.tenant_id, team.owner)
    invitations = world.engines.invitations
    acceptances = world.engines.acceptances
    async with world.transaction() as session:
        revoked = await invitations.revoke(session, team.tenant_id, team.admin, invitation_id)
        assert revoked.status == "revoked"
        assert await invitations.revoke(session, team.tenant_id, team.owner, invitation_id) == revoked
        with pytest.raises(NotFoundError):
            await acceptances.accept(session, invitation_id, token)


async def test_an_accepted_invitation_is_not_revoked(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invitation_id, token = await world.invite(tenant_id, owner)
    async with world.transaction() as session:
        await world.engines.acceptances.accept(session, invitation_id, token)
        with pytest.raises(ConflictError):
            await world.engines.invitations.revoke(session, tenant_id, owner, invitation_id)


async def test_members_and_viewers_manage_no_invitation(world: World) -> None:
    team = await world.team()
    invitation_id, _ = await world.invite(team.tenant_id, team.owner)
    invitations = world.engines.invitations
    async with world.transaction() as session:
        for user_id in (team.member, team.viewer):
            for managing in (
                invitations.list(session, team.tenant_id, user_id),
                invitations.resend(session, team.tenant_id, user_id, invitation_id),
                invitations.revoke(session, team.tenant_id, user_id, invitation_id),
            ):
                with pytest.raises(ForbiddenError):
                    await managing


async def test_an_admin_manages_no_invitation_to_an_owner(world: World) -> None:
    team = await world.team()
    invitation_id, token = await world.invite(team.tenant_id, team.owner, role="owner")
    invitations = world.engines.invitations
    async with world.transaction() as session:
        for managing in (invitations.resend, invitations.revoke):
            with pytest.raises(ForbiddenError):
                await managing(session, team.tenant_id, team.admin, invitation_id)
    async with world.transaction() as session:
        assert (await world.engines.acceptances.accept(session, invitation_id, token)).role == "owner"


@pytest.mark.parametrize("fall", ["demoted", "removed", "deactivated"])
async def test_an_invitation_dies_when_its_inviter_may_not_grant(world: World, fall: str) -> None:
    team = await world.team()
    invitation_id, token = await world.invite(team.tenant_id, team.admin, role="admin")
    members = world.engines.members
    async with world.transaction() as session:
        if fall == "demoted":
            await members.change_role(session, team.tenant_id, team.owner, team.admin, "member")
        if fall == "removed":
            await members.remove(session, team.tenant_id, team.owner, team.admin)
    if fall == "deactivated":
        await world.deactivate(team.admin)
    async with world.transaction() as session:
        with pytest.raises(ForbiddenError):
            await world.engines.acceptances.accept(session, invitation_id, token)
        # A member who may grant the role can send it again.
        await world.engines.invitations.resend(session, team.tenant_id, team.owner, invitation_id)
        fresh = await world.draw(session, team.tenant_id, invitation_id)
        assert (await world.engines.acceptances.accept(session, invitation_id, fresh)).role == "admin"


async def test_a_token_does_not_bring_a_removed_member_back(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    async with world.transaction() as session:
        await world.engines.acceptances.accept(session, invitation_id, token)
        await world.engines.members.remove(session, tenant_id, owner, user_id)
        with pytest.raises(NotFoundError):
            await world.engines.acceptances.accept(session, invitation_id, token)
    assert await world.role_of(tenant_id, user_id) is None


async def test_a_new_account_gets_no_memberships_with_an_address(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    former = await world.join(tenant_id, owner, email=email)
    await world.deactivate(former, deleted=True)
    successor = await world.add_user(email)
    assert await world.role_of(tenant_id, successor) is None
    await world.join(tenant_id, owner, "viewer", user_id=successor, email=email)
    assert await world.role_of(tenant_id, successor) == "viewer"
    assert await world.role_of(tenant_id, former) is None


async def test_nobody_joins_a_closed_tenant(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invitation_id, token = await world.invite(tenant_id, owner)
    for status in ("suspended", "terminated", "archived"):
        await world.suspend(tenant_id, status)
        async with world.transaction() as session:
            with pytest.raises(TenantNotActiveError):
                await world.engines.acceptances.accept(session, invitation_id, token)


async def test_a_foreign_invitation_is_like_none(world: World) -> None:
    (tenant_id, owner), (other_id, other) = await world.tenant(), await world.tenant()
    foreign, _ = await world.invite(other_id, other)
    invitations = world.engines.invitations
    async with world.transaction() as session:
        answers = {
            await refusal(operation(session, tenant_id, owner, invitation_id))
            for operation in (invitations.resend, invitations.revoke)
            for invitation_id in (foreign, "inv_none")
        }
        assert len(answers) == 1
        assert next(iter(answers))[0] is NotFoundError
        with pytest.raises(NotAMemberError):
            await invitations.list(session, other_id, owner)
        assert (await invitations.list(session, tenant_id, owner)).value.total == 0
        [untouched] = (await invitations.list(session, other_id, other)).value.invitations
        assert (untouched.id, untouched.status) == (foreign, "pending")


async def test_the_list_is_newest_first_and_walked_once(world: World) -> None:
    tenant_id, owner = await world.tenant()
    same_time = {(await world.invite(tenant_id, owner))[0] for _ in range(4)}
    world.clock.advance(seconds=1)
    newest, _ = await world.invite(tenant_id, owner)
    invitations = world.engines.invitations
    async with world.reading() as session:
        for limit in (1, 2, 5):
            pages = await walk(
                partial(invitations.list, session, tenant_id, owner, status="pending", limit=limit)
            )
            walked = [item.id for page in pages for item in page.invitations]
            assert walked[0] == newest
            assert set(walked[1:]) == same_time
            assert len(walked) == 5
            assert {page.total for page in pages} == {5}
        for status in ("PENDING", "sent", ""):
            with pytest.raises(InvalidInputError):
                await invitations.list(session, tenant_id, owner, status=status)  # type: ignore[arg-type]  # any text
