"""Whose account it is: subjects of issuers, verified addresses, and accounts that invitations made."""

from dataclasses import replace

import pytest
from support.world import World

from hoc.cus.account.L5_schemas.errors import (
    AccountNotFoundError,
    AccountValidationError,
    ConflictError,
    ForbiddenError,
)
from hoc.cus.account.L5_schemas.identity import (
    AccountEnsureRequest,
    AccountProfileResponse,
    AccountStatusChangeRequest,
    AccountUpdateRequest,
    SignInRequest,
)

OTHER = "https://other.example"
INACTIVE = AccountStatusChangeRequest(is_active=False)


def sign_up(world: World, **given: object) -> AccountEnsureRequest:
    """A request for a subject with a verified address."""
    new = AccountEnsureRequest(f"auth0|{world.new_id()}", world.new_email(), "Fresh", email_verified=True)
    return replace(new, **given)  # type: ignore[arg-type]  # of the fields' types


async def invited(world: World, email: str) -> tuple[str, str]:
    """A tenant, and the account that accepting its invitation made for the address."""
    tenant_id, owner = await world.tenant()
    invitation_id, token = await world.invite(tenant_id, owner, email)
    async with world.transaction() as session:
        await world.engines.acceptances.accept(session, invitation_id, token)
    account = await world.accounts.get_account_by_email(email)
    assert account is not None
    return tenant_id, account.user_id


async def ensure(world: World, request: AccountEnsureRequest) -> tuple[AccountProfileResponse, bool]:
    return await world.accounts.ensure_account(request)


async def refused(world: World, request: AccountEnsureRequest) -> str:
    with pytest.raises(AccountValidationError) as refusal:
        await world.accounts.ensure_account(request)
    return refusal.value.error


@pytest.mark.parametrize("issuer", [None, OTHER])
async def test_a_newcomer_claims_the_account_of_an_invitation(world: World, issuer: str | None) -> None:
    request = sign_up(world, issuer=issuer)
    tenant_id, user_id = await invited(world, request.email.upper())
    for _ in range(2):
        account, was_created = await ensure(world, request)
        assert (account.user_id, account.name, was_created) == (user_id, "Fresh", False)
    assert await world.role_of(tenant_id, user_id) == "member"
    linked = await world.accounts.list_identities(user_id)
    assert [(one.issuer, one.subject) for one in linked.identities] == [(issuer or "", request.user_id)]
    events = [event.type for event in await world.events(user_id=user_id)]
    assert events[-2:] == ["user.identity_linked", "user.profile_updated"]


async def test_a_linked_subject_is_a_user_id(world: World) -> None:
    request = sign_up(world)
    tenant_id, user_id = await invited(world, request.email)
    await ensure(world, request)
    accounts, subject = world.accounts, request.user_id
    assert (await accounts.get_account_profile(subject)).user_id == user_id
    updated = await accounts.update_account_profile(subject, AccountUpdateRequest(name="Renamed"))
    assert (updated.user_id, updated.name) == (user_id, "Renamed")
    assert (await accounts.list_identities(subject)).user_id == user_id
    await accounts.record_sign_in(subject, SignInRequest("google"))
    await accounts.change_account_status(subject, INACTIVE)
    assert await world.role_of(tenant_id, user_id) is None
    await accounts.delete_account(subject)
    with pytest.raises(AccountNotFoundError):
        await accounts.get_account_profile(user_id)


async def test_a_linked_subject_verifies_its_own_address(world: World) -> None:
    request = sign_up(world)
    user_id = await world.add_user(request.email, email_verified=False)
    await world.accounts.link_identity(user_id, request.user_id)
    verified = AccountUpdateRequest(email=request.email, email_verified=True)
    account = await world.accounts.update_account_profile(request.user_id, verified)
    assert await world.accounts.get_account_by_email(request.email) == account
    assert "user.email_lost" not in {event.type for event in await world.events(user_id=user_id)}


async def test_an_unverified_address_claims_nothing(world: World) -> None:
    request = sign_up(world, email_verified=False)
    _, user_id = await invited(world, request.email)
    assert await refused(world, request) == "account_invalid"
    assert (await world.accounts.list_identities(user_id)).identities == []


@pytest.mark.parametrize("claim", ["sign-in", "another subject", "a link"])
async def test_a_claimed_account_is_not_claimed_again(world: World, claim: str) -> None:
    request = sign_up(world)
    _, user_id = await invited(world, request.email)
    if claim == "sign-in":
        await world.accounts.record_sign_in(user_id, SignInRequest())
    elif claim == "a link":
        await world.accounts.link_identity(user_id, "anybody", issuer=OTHER)
    else:
        await ensure(world, replace(request, user_id="auth0|first"))
    assert await refused(world, request) == "address_claimed"
    assert request.user_id not in {
        one.subject for one in (await world.accounts.list_identities(user_id)).identities
    }


async def test_a_deactivated_account_is_not_claimed(world: World) -> None:
    request = sign_up(world)
    _, user_id = await invited(world, request.email)
    await world.accounts.change_account_status(user_id, INACTIVE)
    assert await refused(world, request) == "account_invalid"


async def test_a_verified_newcomer_displaces_an_unverified_holder(world: World) -> None:
    request = sign_up(world)
    squatter = await world.add_user(request.email, email_verified=False)
    account, was_created = await ensure(world, request)
    assert (account.user_id, was_created) == (request.user_id, True)
    found = await world.accounts.get_account_by_email(request.email)
    assert found is not None
    assert found.user_id == request.user_id
    assert (await world.accounts.get_account_profile(squatter)).is_active, "it keeps its account"
    assert [event.type for event in await world.events(user_id=squatter)][-1] == "user.email_lost"
    with pytest.raises(AccountValidationError):
        await world.accounts.update_account_profile(
            squatter, AccountUpdateRequest(email=request.email, email_verified=True)
        )
    proved = await world.accounts.update_account_profile(
        squatter, AccountUpdateRequest(email=world.new_email(), email_verified=True)
    )
    assert await world.accounts.get_account_by_email(proved.email) == proved


@pytest.mark.parametrize("holder_verified", [False, True])
async def test_an_unverified_newcomer_displaces_nobody(world: World, *, holder_verified: bool) -> None:
    request = sign_up(world, email_verified=False)
    holder = await world.add_user(request.email, email_verified=holder_verified)
    assert await refused(world, request) == "account_invalid"
    found = await world.accounts.get_account_by_email(request.email)
    assert found is not None
    assert found.user_id == holder


async def test_a_verified_change_displaces_an_unverified_holder(world: World) -> None:
    email, changed = world.new_email(), await world.add_user()
    squatter = await world.add_user(email, email_verified=False)
    with pytest.raises(AccountValidationError):
        await world.accounts.update_account_profile(changed, AccountUpdateRequest(email=email))
    account = await world.accounts.update_account_profile(
        changed, AccountUpdateRequest(email=email, email_verified=True)
    )
    assert await world.accounts.get_account_by_email(email) == account
    assert [event.type for event in await world.events(user_id=squatter)][-1] == "user.email_lost"


async def test_a_subject_of_another_issuer_gets_an_id_of_its_own(world: World) -> None:
    """It may contain what no account's id may; the same subject of the primary issuer is somebody else."""
    request = sign_up(world, user_id="dept/shipping 1", issuer=OTHER, email_verified=False)
    account, was_created = await ensure(world, request)
    assert was_created
    assert account.user_id.startswith("usr_")
    assert await ensure(world, request) == (account, False)
    with pytest.raises(AccountNotFoundError):
        await world.accounts.get_account_profile("dept/shipping 1")
    namesake = sign_up(world, user_id="auth0|x", issuer=OTHER)
    other, _ = await ensure(world, namesake)
    own, _ = await ensure(world, sign_up(world, user_id="auth0|x"))
    assert own.user_id == "auth0|x" != other.user_id


async def test_identities_are_linked_once_and_the_last_one_stays(world: World) -> None:
    accounts = world.accounts
    account, _ = await ensure(world, sign_up(world, issuer=OTHER))
    [first] = (await accounts.list_identities(account.user_id)).identities
    with pytest.raises(ConflictError) as last:
        await accounts.unlink_identity(account.user_id, first.subject, issuer=OTHER)
    assert last.value.error == "last_identity"
    for _ in range(2):
        linked = await accounts.link_identity(account.user_id, "second subject", issuer="saml")
        assert len(linked.identities) == 2
    somebody = await world.add_user()
    for subject, issuer in (("second subject", "saml"), (account.user_id, None)):
        with pytest.raises(ConflictError) as taken:
            await accounts.link_identity(somebody, subject, issuer=issuer)
        assert taken.value.error == "identity_taken"
    for _ in range(2):
        left = await accounts.unlink_identity(account.user_id, first.subject, issuer=OTHER)
        assert [one.subject for one in left.identities] == ["second subject"]
    types = [event.type for event in await world.events(user_id=account.user_id)]
    assert types == [
        "user.created",
        "user.identity_linked",
        "user.identity_linked",
        "user.identity_unlinked",
    ]


async def test_an_account_under_its_subject_may_lose_every_link(world: World) -> None:
    user_id = await world.add_user()
    await world.accounts.link_identity(user_id, "g-1", issuer=OTHER)
    left = await world.accounts.unlink_identity(user_id, "g-1", issuer=OTHER)
    assert left.identities == []


async def test_one_sign_in_a_minute_is_stored(world: World) -> None:
    tenant_id, owner = await world.tenant()

    async def stored() -> tuple[object, str | None]:
        async with world.reading() as session:
            detail = await world.facade.get_user_detail(session, tenant_id, owner)
        assert detail is not None
        return detail.last_login_at, detail.oauth_provider

    assert await stored() == (None, None)
    start = world.clock.now
    await world.accounts.record_sign_in(owner, SignInRequest("google"))
    world.clock.advance(seconds=59)
    await world.accounts.record_sign_in(owner, SignInRequest("github"))
    assert await stored() == (start, "google")
    world.clock.advance(seconds=1)
    await world.accounts.record_sign_in(owner, SignInRequest())
    assert await stored() == (world.clock.now, "google")
    types = [event.type for event in await world.events(user_id=owner)]
    assert types.count("user.signed_in") == 2
    with pytest.raises(AccountNotFoundError):
        await world.accounts.record_sign_in("nobody", SignInRequest())


async def test_a_verified_caller_accepts_under_its_subject(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email, subject = world.new_email(), f"auth0|{world.new_id()}"
    invitation_id, token = await world.invite(tenant_id, owner, email)
    accept = world.engines.acceptances.accept
    async with world.transaction() as session:
        for verified in (None, world.new_email()):
            with pytest.raises(ForbiddenError):
                await accept(
                    session, invitation_id, token, caller_user_id=subject, caller_verified_email=verified
                )
        joined = await accept(
            session, invitation_id, token, caller_user_id=subject, caller_verified_email=email.upper()
        )
    assert joined.success
    assert await world.role_of(tenant_id, subject) == "member"
    account, was_created = await ensure(world, sign_up(world, user_id=subject, email=email))
    assert (account.user_id, was_created) == (subject, False)


async def test_a_verified_caller_accepts_for_an_unclaimed_account(world: World) -> None:
    """It accepted another invitation before, without signing in."""
    email, subject = world.new_email(), f"auth0|{world.new_id()}"
    _, user_id = await invited(world, email)
    tenant_id, owner = await world.tenant()
    invitation_id, token = await world.invite(tenant_id, owner, email)
    async with world.transaction() as session:
        await world.engines.acceptances.accept(
            session, invitation_id, token, caller_user_id=subject, caller_verified_email=email
        )
    assert await world.role_of(tenant_id, user_id) == "member"
    assert (await world.accounts.get_account_profile(subject)).user_id == user_id


async def test_a_verified_caller_displaces_who_holds_the_address(world: World) -> None:
    tenant_id, owner = await world.tenant()
    email, subject = world.new_email(), f"auth0|{world.new_id()}"
    squatter = await world.add_user(email, email_verified=False)
    invitation_id, token = await world.invite(tenant_id, owner, email)
    async with world.transaction() as session:
        await world.engines.acceptances.accept(
            session, invitation_id, token, caller_user_id=subject, caller_verified_email=email
        )
    assert await world.role_of(tenant_id, subject) == "member"
    assert await world.role_of(tenant_id, squatter) is None


async def test_an_account_keeps_its_address_under_a_linked_subject(world: World) -> None:
    """To verify the address that it has takes the address from nobody."""
    email = world.new_email()
    user_id = await world.add_user(email, email_verified=False)
    subject = world.new_id()
    await world.accounts.link_identity(user_id, subject)
    update = AccountUpdateRequest(email=email, email_verified=True)
    assert (await world.accounts.update_account_profile(subject, update)).email == email
    types = [event.type for event in await world.events(user_id=user_id)]
    assert types[-2:] == ["user.identity_linked", "user.profile_updated"]


async def test_a_linked_subject_sees_its_accounts_invitations(world: World) -> None:
    email, subject = world.new_email(), world.new_id()
    await world.accounts.link_identity(await world.add_user(email), subject)
    tenant_id, owner = await world.tenant()
    invitation_id, _ = await world.invite(tenant_id, owner, email)
    async with world.reading() as session:
        found = (await world.engines.received_invitations.list(session, subject)).value
    assert ([each.id for each in found.invitations], found.total) == ([invitation_id], 1)


@pytest.mark.parametrize("is_signed_in", [False, True])
async def test_accepting_verifies_an_address_that_was_changed(world: World, *, is_signed_in: bool) -> None:
    """Of an account that nobody has claimed: else a newcomer would displace who has accepted."""
    email, subject = world.new_email(), world.new_id()
    _, user_id = await invited(world, world.new_email())
    await world.accounts.update_account_profile(user_id, AccountUpdateRequest(email=email))
    tenant_id, owner = await world.tenant()
    invitation_id, token = await world.invite(tenant_id, owner, email)
    caller = {"caller_user_id": subject, "caller_verified_email": email} if is_signed_in else {}
    async with world.transaction() as session:
        await world.engines.acceptances.accept(session, invitation_id, token, **caller)
    assert await world.role_of(tenant_id, user_id) == "member"
    claimant = subject if is_signed_in else world.new_id()
    account, _ = await ensure(world, sign_up(world, user_id=claimant, email=email))
    assert account.user_id == user_id
    assert await refused(world, sign_up(world, email=email)) == "address_claimed"
    updates = [e for e in await world.events(user_id=user_id) if e.type == "user.profile_updated"]
    assert [one.data["updated_fields"] for one in updates][:2] == [
        ["email", "email_verified"],
        ["email_verified"],
    ]


async def test_every_issuer_is_the_primary_one_unless_one_is(world: World) -> None:
    """So do callers count; a link under another issuer would never be found."""
    accounts = world.accounts_with(primary_issuer=None)
    request = sign_up(world, issuer=OTHER)
    account, was_created = await accounts.ensure_account(request)
    assert (account.user_id, was_created) == (request.user_id, True)
    linked = await accounts.link_identity(request.user_id, f"{request.user_id}-2", issuer=OTHER)
    assert [identity.issuer for identity in linked.identities] == [""]
    assert (await accounts.get_account_profile(f"{request.user_id}-2")).user_id == request.user_id
