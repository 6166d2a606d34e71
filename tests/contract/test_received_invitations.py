"""Invitations from the invited person's side: listed, previewed, declined."""

from collections.abc import Awaitable
from functools import partial

import pytest
from support.world import NOBODY, World, refusal, walk

from hoc.cus.account.L5_schemas.errors import (
    AccountsError,
    ConflictError,
    ForbiddenError,
    InvitationExpiredError,
    NotFoundError,
    TenantNotActiveError,
)
from hoc.cus.account.L5_schemas.results import (
    InvitationDeclinedResult,
    InvitationPreviewResult,
    ReceivedInvitationResult,
)

DEAD = ["revoked", "declined", "accepted", "resent", "replaced"]


async def named_owner(world: World) -> tuple[str, str, str]:
    """A tenant whose owner is called Ada: its id, name, and owner."""
    tenant_id, owner = await world.tenant()
    async with world.transaction() as session:
        await world.engines.profiles.update(session, owner, display_name="Ada")
        project = await world.engines.projects.get(session, tenant_id, tenant_id)
    assert project is not None
    return tenant_id, project.value.name, owner


async def received(world: World, user_id: str) -> list[ReceivedInvitationResult]:
    async with world.reading() as session:
        page = (await world.engines.received_invitations.list(session, user_id)).value
    assert page.total == len(page.invitations)
    return page.invitations


async def kill(world: World, tenant: tuple[str, str], email: str, token: str, how: str) -> str:
    """Make the token of the tenant's invitation to the address dead; returns the invitation's id."""
    tenant_id, owner = tenant
    invitations = world.engines.invitations
    async with world.transaction() as session:
        [pending] = (await invitations.list(session, tenant_id, owner)).value.invitations
        match how:
            case "revoked":
                await invitations.revoke(session, tenant_id, owner, pending.id)
            case "declined":
                await world.engines.received_invitations.decline(
                    session, NOBODY, pending.id, token, caller_verified_email=email
                )
            case "accepted":
                await world.engines.acceptances.accept(session, pending.id, token)
            case "resent":
                await invitations.resend(session, tenant_id, owner, pending.id)
            case _:
                await world.draw(session, tenant_id, pending.id)
    return pending.id


async def test_a_preview_shows_what_the_mail_shows(world: World) -> None:
    tenant_id, name, owner = await named_owner(world)
    invitation_id, token = await world.invite(tenant_id, owner, role="admin")
    async with world.reading() as session:
        [invited] = (await world.engines.invitations.list(session, tenant_id, owner)).value.invitations
        seen = await world.engines.received_invitations.preview(session, invitation_id, token)
    assert seen == InvitationPreviewResult(name, "Ada", "admin", invited.expires_at)


async def test_a_preview_changes_nothing(world: World) -> None:
    tenant_id, owner = await world.tenant()
    invitation_id, token = await world.invite(tenant_id, owner)
    before = await world.rows()
    async with world.transaction() as session:
        await world.engines.received_invitations.preview(session, invitation_id, token)
    assert await world.rows() == before


async def test_previewing_a_wrong_token_is_answered_as_accepting_it(world: World) -> None:
    (tenant_id, owner), (other_id, other) = await world.tenant(), await world.tenant()
    invitation_id, token = await world.invite(tenant_id, owner)
    foreign_id, foreign = await world.invite(other_id, other)
    secret = token.partition(".")[2]
    attempts = [
        (invitation_id, ""),
        (invitation_id, "."),
        (invitation_id, f"{tenant_id}."),
        (invitation_id, f"{tenant_id}.{secret[:-1]}"),
        (invitation_id, f"{token}x"),
        (invitation_id, f"{other_id}.{secret}"),
        (invitation_id, "\x00.\x00"),
        (invitation_id, f"{tenant_id}.\ud800"),
        (invitation_id, "x" * 100_000),
        (invitation_id, foreign),
        (foreign_id, token),
        ("inv_none", token),
        ("\x00", token),
    ]
    received_invitations = world.engines.received_invitations
    async with world.transaction() as session:
        answers = {
            await refusal(operation)
            for attempt in attempts
            for operation in (
                received_invitations.preview(session, *attempt),
                received_invitations.decline(session, owner, *attempt),
                world.engines.acceptances.accept(session, *attempt),
            )
        }
    assert len(answers) == 1
    assert next(iter(answers))[0] is NotFoundError


@pytest.mark.parametrize("how", DEAD)
async def test_a_dead_token_previews_nothing(world: World, how: str) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    invitation_id, token = await world.invite(tenant_id, owner, email)
    assert await kill(world, (tenant_id, owner), email, token, how) == invitation_id
    preview = world.engines.received_invitations.preview
    async with world.reading() as session:
        dead = await refusal(preview(session, invitation_id, token))
        assert dead == await refusal(preview(session, "inv_none", token))
        assert dead[0] is NotFoundError


async def test_an_expired_invitation_is_neither_shown_nor_declined(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    world.clock.advance(days=7)
    engine = world.engines.received_invitations
    async with world.transaction() as session:
        with pytest.raises(InvitationExpiredError):
            await engine.preview(session, invitation_id, token)
        with pytest.raises(InvitationExpiredError):
            await engine.decline(session, user_id, invitation_id, token)
    assert await received(world, user_id) == []


@pytest.mark.parametrize("status", ["suspended", "terminated", "archived"])
async def test_an_inactive_tenants_invitations_are_as_for_accepting(world: World, status: str) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    for step in ("suspended", "terminated", "archived"):
        await world.suspend(tenant_id, step)
        if step == status:
            break
    engine = world.engines.received_invitations
    async with world.transaction() as session:
        answers = {
            await refusal(operation)
            for operation in (
                engine.preview(session, invitation_id, token),
                engine.decline(session, user_id, invitation_id, token),
                world.engines.acceptances.accept(session, invitation_id, token),
            )
        }
    assert len(answers) == 1
    assert next(iter(answers))[0] is TenantNotActiveError
    assert await received(world, user_id) == []


async def test_a_declined_invitation_is_dead_and_shown_so(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    invitations = world.engines.invitations
    async with world.transaction() as session:
        declined = await world.engines.received_invitations.decline(session, user_id, invitation_id, token)
        assert declined == InvitationDeclinedResult("Invitation declined", invitation_id)
        with pytest.raises(NotFoundError):
            await world.engines.acceptances.accept(session, invitation_id, token, caller_user_id=user_id)
        for manage in (invitations.resend, invitations.revoke):
            with pytest.raises(ConflictError):
                await manage(session, tenant_id, owner, invitation_id)
        listed = (await invitations.list(session, tenant_id, owner, status="declined")).value
        assert [(item.id, item.status) for item in listed.invitations] == [(invitation_id, "declined")]
        assert (await invitations.list(session, tenant_id, owner, status="pending")).value.total == 0
    assert await received(world, user_id) == []
    assert await world.role_of(tenant_id, user_id) is None


async def test_declining_again_changes_nothing(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    decline = world.engines.received_invitations.decline
    answers: list[object] = []
    rows: list[object] = []
    for _ in range(2):
        async with world.transaction() as session:
            answers.append(await decline(session, user_id, invitation_id, token))
        rows.append(await world.rows())
        world.clock.advance(days=8)
    assert answers[0] == answers[1]
    assert rows[0] == rows[1]
    declined = [event for event in await world.events(tenant_id=tenant_id) if "declined" in event.type]
    assert [(event.type, event.actor) for event in declined] == [("invitation.declined", user_id)]


async def test_a_declined_address_can_be_invited_again(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    async with world.transaction() as session:
        await world.engines.received_invitations.decline(session, user_id, invitation_id, token)
    again_id, again = await world.invite(tenant_id, owner, email)
    assert again_id != invitation_id
    async with world.transaction() as session:
        assert (await world.engines.acceptances.accept(session, again_id, again)).success


async def test_an_accepted_invitation_is_not_declined(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    decline = world.engines.received_invitations.decline
    async with world.transaction() as session:
        await world.engines.acceptances.accept(session, invitation_id, token)
        with pytest.raises(ConflictError):
            await decline(session, user_id, invitation_id, token)
        with pytest.raises(ForbiddenError):
            await decline(session, owner, invitation_id, token)
    assert await world.role_of(tenant_id, user_id) == "member"


async def test_a_mail_that_is_queued_is_not_sent_after_declining(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    async with world.transaction() as session:
        await world.engines.received_invitations.decline(session, user_id, invitation_id, token)
        with pytest.raises((NotFoundError, AssertionError)):
            await world.draw(session, tenant_id, invitation_id)


async def holder_of(world: World, email: str, holder: str) -> str | None:
    """Make the account that has the address; returns its id."""
    if holder == "nobody":
        return None
    if holder != "unclaimed":
        user_id = await world.add_user(email, email_verified=holder != "unverified")
        if holder in {"deactivated", "deleted"}:
            await world.deactivate(user_id, deleted=holder == "deleted")
        return user_id
    await accept_elsewhere(world, email)
    account = await world.accounts.get_account_by_email(email)
    assert account is not None
    return account.user_id


async def accept_elsewhere(world: World, email: str, user_id: str | None = None) -> None:
    """Accept an invitation of another tenant, which verifies the address, for an account or for a new one."""
    invitation_id, token = await world.invite(*await world.tenant(), email)
    async with world.transaction() as session:
        await world.engines.acceptances.accept(session, invitation_id, token, caller_user_id=user_id)


@pytest.mark.parametrize("caller", ["holder", "newcomer", "of another issuer", "account"])
@pytest.mark.parametrize("word", ["verified", "unsaid", "other"])
@pytest.mark.parametrize(
    "holder", ["nobody", "verified", "unverified", "unclaimed", "deactivated", "deleted"]
)
async def test_who_may_accept_may_decline_and_nobody_else(
    world: World, caller: str, word: str, holder: str
) -> None:
    """The token is the right one in every case."""
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    holder_id = await holder_of(world, email, holder)
    user_id = {
        "holder": holder_id or world.new_id(),
        "newcomer": world.new_id(),
        "of another issuer": f"https://{'i' * 240}.example subject",
        "account": owner,
    }[caller]
    verified = {"verified": email, "unsaid": None, "other": world.new_email()}[word]
    invitation_id, token = await world.invite(tenant_id, owner, email)

    async def code(operation: Awaitable[object]) -> str:
        try:
            await operation
        except AccountsError as refused:
            return refused.error
        return "done"

    async with world.session() as session:
        accepting = await code(
            world.engines.acceptances.accept(
                session,
                invitation_id,
                token,
                caller_user_id=user_id,
                caller_verified_email=verified,
            )
        )
        await session.rollback()
        declining = await code(
            world.engines.received_invitations.decline(
                session, user_id, invitation_id, token, caller_verified_email=verified
            )
        )
        await session.rollback()
    assert declining == accepting


async def test_a_stranger_with_the_token_declines_nothing(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email, stranger = world.new_email(), await world.add_user()
    user_id = await world.add_user(email)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    decline = world.engines.received_invitations.decline
    before = await world.rows()
    async with world.transaction() as session:
        for caller in (stranger, owner, NOBODY):
            with pytest.raises(ForbiddenError) as refused:
                await decline(session, caller, invitation_id, token)
            assert refused.value.error == "not_your_invitation"
    assert await world.rows() == before
    assert [item.id for item in await received(world, user_id)] == [invitation_id]


async def test_the_list_has_the_open_invitations_of_all_tenants(world: World) -> None:
    email = world.new_email()
    user_id = await world.add_user(email.upper())
    expected: list[ReceivedInvitationResult] = []
    for role in ("member", "admin"):
        tenant_id, name, owner = await named_owner(world)
        invitation_id, _ = await world.invite(tenant_id, owner, email, role)
        async with world.reading() as session:
            [sent] = (await world.engines.invitations.list(session, tenant_id, owner)).value.invitations
        item = ReceivedInvitationResult(
            invitation_id, tenant_id, name, "Ada", role, sent.created_at, sent.expires_at
        )
        expected.insert(0, item)
        await world.invite(tenant_id, owner)
        world.clock.advance(seconds=1)
    assert await received(world, user_id) == expected


@pytest.mark.parametrize("how", ["revoked", "declined", "accepted"])
async def test_the_list_has_nothing_that_is_not_pending(world: World, how: str) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    _, token = await world.invite(tenant_id, owner, email)
    await kill(world, (tenant_id, owner), email, token, how)
    account = await world.accounts.get_account_by_email(email)
    user_id = await world.add_user(email) if account is None else account.user_id
    assert await received(world, user_id) == []


async def test_only_a_verified_address_receives_invitations(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email, email_verified=False)
    invitation_id, _ = await world.invite(tenant_id, owner, email)
    assert await received(world, user_id) == []
    await accept_elsewhere(world, email, user_id)
    assert [item.id for item in await received(world, user_id)] == [invitation_id]


@pytest.mark.parametrize("deleted", [False, True])
async def test_an_account_that_ended_receives_nothing(world: World, *, deleted: bool) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email)
    await world.invite(tenant_id, owner, email)
    await world.deactivate(user_id, deleted=deleted)
    assert await received(world, user_id) == []
    assert await received(world, NOBODY) == []


async def test_the_received_are_newest_first_and_walked_once(world: World) -> None:
    email = world.new_email()
    user_id = await world.add_user(email)
    same_time = {(await world.invite(*await world.tenant(), email))[0] for _ in range(4)}
    world.clock.advance(seconds=1)
    newest, _ = await world.invite(*await world.tenant(), email)
    async with world.reading() as session:
        for limit in (1, 2, 5):
            fetch = partial(world.engines.received_invitations.list, session, user_id, limit=limit)
            pages = await walk(fetch)
            walked = [item.id for page in pages for item in page.invitations]
            assert walked[0] == newest
            assert set(walked[1:]) == same_time
            assert len(walked) == 5
            assert {page.total for page in pages} == {5}


@pytest.mark.parametrize("how", ["declined", "accepted", "expired", "pending"])
async def test_a_link_tells_what_became_of_its_invitation(world: World, how: str) -> None:
    tenant_id, name, owner = await named_owner(world)
    email = world.new_email()
    invitation_id, token = await world.invite(tenant_id, owner, email)
    if how == "expired":
        world.clock.advance(days=7)
    elif how != "pending":
        await kill(world, (tenant_id, owner), email, token, how)
    opened = world.engines.received_invitations.opened
    async with world.reading() as session:
        seen = await opened(session, invitation_id, token)
        assert (seen.tenant_name, seen.inviter_name, seen.role, seen.status) == (name, "Ada", "member", how)
        for wrong in (f"{token}x", token.replace(tenant_id, "ten_other"), ""):
            with pytest.raises(NotFoundError):
                await opened(session, invitation_id, wrong)


async def test_a_listed_invitation_is_accepted_without_its_link(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email)
    invitation_id, _ = await world.invite(tenant_id, owner, email, "admin")
    accept = world.engines.acceptances.accept_received
    for _ in range(2):
        async with world.transaction() as session:
            joined = await accept(session, user_id, tenant_id, invitation_id)
        assert (joined.tenant_id, joined.role) == (tenant_id, "admin")
    assert await world.role_of(tenant_id, user_id) == "admin"
    assert await received(world, user_id) == []


async def test_a_listed_invitation_is_declined_without_its_link(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email)
    invitation_id, _ = await world.invite(tenant_id, owner, email)
    async with world.transaction() as session:
        for _ in range(2):
            await world.engines.received_invitations.decline_received(
                session, user_id, tenant_id, invitation_id
            )
        with pytest.raises(NotFoundError):
            await world.engines.acceptances.accept_received(session, user_id, tenant_id, invitation_id)
    assert await world.role_of(tenant_id, user_id) is None


@pytest.mark.parametrize("who", ["stranger", "unverified", "deactivated", "owner"])
async def test_without_the_verified_address_no_link_is_saved(world: World, who: str) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    invited = await world.add_user(email, email_verified=who != "unverified")
    invitation_id, _ = await world.invite(tenant_id, owner, email)
    if who == "deactivated":
        await world.deactivate(invited)
    caller = {"stranger": await world.add_user(), "owner": owner}.get(who, invited)
    before = await world.rows()
    async with world.transaction() as session:
        for decide in (
            world.engines.acceptances.accept_received,
            world.engines.received_invitations.decline_received,
        ):
            refused = await refusal(decide(session, caller, tenant_id, invitation_id))
            assert refused == await refusal(decide(session, caller, "\x00", "inv_none"))
            assert refused[0] is NotFoundError
    assert await world.rows() == before


async def test_a_listed_invitation_follows_the_rules_of_its_link(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email = world.new_email()
    user_id = await world.add_user(email)
    admin = await world.join(tenant_id, owner, "admin")
    invitation_id, _ = await world.invite(tenant_id, admin, email)
    accept = world.engines.acceptances.accept_received
    async with world.transaction() as session:
        await world.engines.members.change_role(session, tenant_id, owner, admin, "viewer")
        with pytest.raises(ForbiddenError):
            await accept(session, user_id, tenant_id, invitation_id)
    await world.suspend(tenant_id)
    async with world.transaction() as session:
        with pytest.raises(TenantNotActiveError):
            await accept(session, user_id, tenant_id, invitation_id)
    world.clock.advance(days=7)
    async with world.transaction() as session:
        with pytest.raises(InvitationExpiredError):
            await accept(session, user_id, tenant_id, invitation_id)
