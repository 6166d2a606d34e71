"""An owner's new address: it proves nothing until the link mailed to it is used."""

from base64 import urlsafe_b64decode
from hashlib import sha256

import pytest
from support.world import World

from hoc.cus.account.L5_schemas.errors import (
    AccountNotFoundError,
    AccountValidationError,
    ConflictError,
    EmailChangeExpiredError,
    LimitExceededError,
    NotFoundError,
)
from hoc.cus.account.L5_schemas.identity import (
    AccountEnsureRequest,
    AccountStatusChangeRequest,
    AccountUpdateRequest,
)


async def ask(world: World, user_id: str, email: str, name: str | None = None) -> str:
    """Ask for another address as the account's owner. Returns the token that is mailed to it."""
    await world.accounts.update_own_profile(user_id, AccountUpdateRequest(name, email))
    token = await world.draw_email_token(user_id)
    assert token is not None
    return token


async def test_a_new_address_waits_for_its_confirmation(world: World) -> None:
    old, new = world.new_email(), world.new_email()
    user_id = await world.add_user(old)
    token = await ask(world, user_id, new, "Renamed")
    account = await world.accounts.get_account_profile(user_id)
    assert (account.email, account.name) == (old, "Renamed"), "the name is changed at once"
    pending = await world.accounts.pending_email_change(user_id)
    assert (pending.email, pending.requested_at) == (new, world.clock.now)
    assert await world.accounts.get_account_by_email(new) is None
    world.clock.advance(hours=1)
    for _ in range(2):
        confirmed = await world.accounts.confirm_email_change(token)
        assert (confirmed.user_id, confirmed.email) == (user_id, new)
    assert await world.accounts.get_account_by_email(old) is None
    with pytest.raises(AccountNotFoundError):
        await world.accounts.pending_email_change(user_id)
    events = [
        event.data["updated_fields"]
        for event in await world.events(user_id=user_id)
        if event.type == "user.profile_updated"
    ]
    assert events == [["name"], ["email"]]


async def test_a_link_that_is_passed_on_confirms_as_a_mailed_one(world: World) -> None:
    old, new = world.new_email(), world.new_email()
    user_id = await world.add_user(old)
    with pytest.raises(AccountNotFoundError, match="pending"):
        await world.accounts.email_change_link(user_id)
    mailed = await ask(world, user_id, new)
    earlier = await world.accounts.email_change_link(user_id)
    issued = await world.accounts.email_change_link(user_id)
    assert issued.link == f"http://127.0.0.1:8201/email-changes#token={issued.token}"
    assert issued.token not in repr(issued)
    pending = await world.accounts.pending_email_change(user_id)
    assert (issued.user_id, issued.email, issued.expires_at) == (user_id, new, pending.expires_at)
    for void in (mailed, earlier.token):
        with pytest.raises(NotFoundError):
            await world.accounts.confirm_email_change(void)
    confirmed = await world.accounts.confirm_email_change(issued.token)
    assert confirmed.email == new
    with pytest.raises(AccountNotFoundError, match="pending"):
        await world.accounts.email_change_link(user_id)


async def test_a_cancelled_or_expired_change_has_no_link(world: World) -> None:
    user_id = await world.add_user()
    await ask(world, user_id, world.new_email())
    await world.accounts.cancel_email_change(user_id)
    with pytest.raises(AccountNotFoundError, match="pending"):
        await world.accounts.email_change_link(user_id)
    await ask(world, user_id, world.new_email())
    world.clock.advance(hours=24)
    with pytest.raises(AccountNotFoundError, match="pending"):
        await world.accounts.email_change_link(user_id)
    with pytest.raises(AccountNotFoundError):
        await world.accounts.email_change_link(world.new_id())


async def test_a_confirmed_address_is_verified(world: World) -> None:
    user_id = await world.add_user(email_verified=False)
    tenant_id, owner = await world.tenant()
    new = world.new_email()
    invitation_id, invited = await world.invite(tenant_id, owner, new)
    await world.accounts.confirm_email_change(await ask(world, user_id, new))
    async with world.transaction() as session:
        assert (await world.engines.acceptances.accept(session, invitation_id, invited)).success
    assert await world.role_of(tenant_id, user_id) == "member"


async def test_a_pending_address_blocks_nobodys_sign_up(world: World) -> None:
    """And once the address is another account's, it is not confirmed any more."""
    new, mallory = world.new_email(), await world.add_user()
    token = await ask(world, mallory, new)
    tenant_id, owner = await world.tenant()
    invitation_id, invited = await world.invite(tenant_id, owner, new, "admin")
    async with world.transaction() as session:
        await world.engines.acceptances.accept(session, invitation_id, invited)
    assert await world.role_of(tenant_id, mallory) is None
    victim, was_created = await world.accounts.ensure_account(
        AccountEnsureRequest(world.new_id(), new, "Victim", email_verified=True)
    )
    assert not was_created
    assert await world.role_of(tenant_id, victim.user_id) == "admin"
    with pytest.raises(ConflictError) as taken:
        await world.accounts.confirm_email_change(token)
    assert taken.value.error == "address_taken"
    assert (await world.accounts.get_account_profile(mallory)).email != new


async def test_a_confirmation_displaces_an_unverified_holder(world: World) -> None:
    new, user_id = world.new_email(), await world.add_user()
    squatter = await world.add_user(new, email_verified=False)
    confirmed = await world.accounts.confirm_email_change(await ask(world, user_id, new))
    assert await world.accounts.get_account_by_email(new) == confirmed
    assert [event.type for event in await world.events(user_id=squatter)][-1] == "user.email_lost"


async def test_a_dead_token_confirms_nothing(world: World) -> None:
    """After a newer request, a newer mail, a cancellation, and while the account is deactivated."""
    user_id = await world.add_user()
    accounts = world.accounts
    dead = [await ask(world, user_id, world.new_email()) for _ in range(2)]
    newest = await world.draw_email_token(user_id)
    assert newest is not None
    for token in (*dead, f"{user_id}.", f"{user_id}.guess", "nobody.guess", "", "x" * 600, "\x00.a"):
        with pytest.raises(NotFoundError) as refused:
            await accounts.confirm_email_change(token)
        assert user_id not in refused.value.message
    await accounts.change_account_status(user_id, AccountStatusChangeRequest(is_active=False))
    with pytest.raises(NotFoundError):
        await accounts.confirm_email_change(newest)
    await accounts.change_account_status(user_id, AccountStatusChangeRequest(is_active=True))
    for _ in range(2):
        await accounts.cancel_email_change(user_id)
    with pytest.raises(NotFoundError):
        await accounts.confirm_email_change(newest)
    with pytest.raises(AccountNotFoundError):
        await accounts.pending_email_change(user_id)
    assert await world.draw_email_token(user_id) is None


async def test_a_change_expires(world: World) -> None:
    user_id = await world.add_user()
    token = await ask(world, user_id, world.new_email())
    world.clock.advance(hours=24)
    with pytest.raises(EmailChangeExpiredError):
        await world.accounts.confirm_email_change(token)
    with pytest.raises(AccountNotFoundError):
        await world.accounts.pending_email_change(user_id)


async def test_the_changes_of_a_day_are_capped(world: World) -> None:
    """For an account, and for an address, whose mails of invitations count as well."""
    user_id, new = await world.add_user(), world.new_email()
    for _ in range(5):
        await ask(world, user_id, world.new_email())
    await world.accounts.cancel_email_change(user_id)
    with pytest.raises(LimitExceededError):
        await ask(world, user_id, world.new_email())
    for _ in range(20):
        await ask(world, await world.add_user(), new)
    with pytest.raises(LimitExceededError):
        await ask(world, await world.add_user(), new.upper())
    tenant_id, owner = await world.tenant()
    with pytest.raises(LimitExceededError):
        await world.invite(tenant_id, owner, new)
    world.clock.advance(days=1)
    await ask(world, user_id, new)


async def test_the_same_mailbox_needs_no_confirmation(world: World) -> None:
    email = world.new_email()
    user_id = await world.add_user(email)
    changed = await world.accounts.update_own_profile(user_id, AccountUpdateRequest(email=email.upper()))
    assert changed.email == email.upper()
    with pytest.raises(AccountNotFoundError):
        await world.accounts.pending_email_change(user_id)


async def test_only_an_active_account_asks(world: World) -> None:
    user_id = await world.add_user()
    await world.accounts.delete_account(user_id)
    for asking in (user_id, "nobody"):
        with pytest.raises(AccountNotFoundError):
            await world.accounts.update_own_profile(asking, AccountUpdateRequest(email=world.new_email()))
    with pytest.raises(AccountValidationError):
        await world.accounts.update_own_profile(user_id, AccountUpdateRequest(email="no address"))


async def test_a_lost_address_has_to_be_confirmed(world: World) -> None:
    """The account's row still names it, but it may belong to anybody."""
    lost = world.new_email()
    squatter = await world.add_user(lost, email_verified=False)
    owner = await world.add_user()
    await world.accounts.confirm_email_change(await ask(world, owner, lost))
    await world.accounts.confirm_email_change(await ask(world, owner, world.new_email()))
    token = await ask(world, squatter, lost)
    assert await world.accounts.get_account_by_email(lost) is None
    confirmed = await world.accounts.confirm_email_change(token)
    assert (confirmed.user_id, confirmed.email) == (squatter, lost)


async def test_an_address_set_for_an_owner_ends_the_change(world: World) -> None:
    """Otherwise who has the link could undo what an administrator has set."""
    user_id, is_set = await world.add_user(), world.new_email()
    token = await ask(world, user_id, world.new_email())
    await world.accounts.update_account_profile(user_id, AccountUpdateRequest("Renamed"))
    assert (await world.accounts.pending_email_change(user_id)).user_id == user_id
    await world.accounts.update_account_profile(user_id, AccountUpdateRequest(email=is_set))
    with pytest.raises(NotFoundError):
        await world.accounts.confirm_email_change(token)
    assert (await world.accounts.get_account_profile(user_id)).email == is_set


async def test_a_deactivated_account_gets_no_link(world: World) -> None:
    user_id = await world.add_user()
    await ask(world, user_id, world.new_email())
    await world.accounts.change_account_status(user_id, AccountStatusChangeRequest(is_active=False))
    assert await world.draw_email_token(user_id) is None


async def test_a_mailed_secret_has_256_bits_and_is_not_stored(world: World) -> None:
    """Neither an invitation's nor that of a change of an address; their SHA-256 is."""
    tenant_id, owner = await world.tenant()
    _, invited = await world.invite(tenant_id, owner)
    tokens = [invited, await ask(world, owner, world.new_email())]
    stored = repr(await world.rows())
    for token in tokens:
        secret = token.partition(".")[2]
        assert len(urlsafe_b64decode(f"{secret}=")) == 32
        assert secret not in stored
        assert repr(sha256(token.encode()).digest()) in stored
