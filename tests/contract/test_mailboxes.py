"""Every spelling of a mailbox is one address: for accounts, invitations, their caps, look-up and search."""

# ruff: noqa: RUF001 - lookalike letters are what is tested

import pytest
from support.world import World

from hoc.cus.account.L5_engines.email_address import email_key
from hoc.cus.account.L5_schemas.errors import (
    AccountValidationError,
    ConflictError,
    InvalidInputError,
    LimitExceededError,
)
from hoc.cus.account.L5_schemas.identity import (
    AccountEnsureRequest,
    AccountSearchParams,
    AccountUpdateRequest,
)
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.port_types import InvitationLimits

pytestmark = pytest.mark.parametrize(
    ("one", "other"),
    [
        ("bücher.example.com", "xn--bcher-kva.example.com"),
        ("xn--bcher-kva.example.com", "BÜCHER.example.com"),
        ("example.com", "ｅxample.com"),
        ("ｅxample.com", "example.com"),
        ("example.com", "example。com"),
    ],
)


async def test_a_mailbox_belongs_to_one_account(world: World, one: str, other: str) -> None:
    name = world.new_id()
    first = AccountEnsureRequest(world.new_id(), f"{name}@{one}", "Eva")
    made, _ = await world.accounts.ensure_account(first)
    with pytest.raises(AccountValidationError):
        await world.accounts.ensure_account(AccountEnsureRequest(world.new_id(), f"{name}@{other}", "Eva"))
    moving = await world.add_user()
    with pytest.raises(AccountValidationError):
        await world.accounts.update_account_profile(moving, AccountUpdateRequest(email=f"{name}@{other}"))
    assert await world.accounts.get_account_by_email(f"{name}@{other}") == made
    assert made.email == f"{name}@{one}"


async def test_a_mailbox_is_invited_once(world: World, one: str, other: str) -> None:
    tenant_id, owner = await world.tenant()
    name = world.new_id()
    await world.invite(tenant_id, owner, f"{name}@{one}")
    async with world.transaction() as session:
        with pytest.raises(ConflictError) as refused:
            await world.engines.invitations.invite(session, tenant_id, owner, email=f"{name}@{other}")
    assert refused.value.error == "already_pending"


async def test_an_invitation_is_for_the_mailbox(world: World, one: str, other: str) -> None:
    tenant_id, owner = await world.tenant()
    name = world.new_id()
    user = await world.add_user(f"{name}@{one}")
    invitation, token = await world.invite(tenant_id, owner, f"{name}@{other}")
    async with world.transaction() as session:
        await world.engines.acceptances.accept(session, invitation, token, caller_user_id=user)
    assert await world.role_of(tenant_id, user) == "member"
    async with world.transaction() as session:
        with pytest.raises(ConflictError) as refused:
            await world.engines.invitations.invite(session, tenant_id, owner, email=f"{name}@{other}")
    assert refused.value.error == "already_member"


async def test_the_daily_limit_counts_mailboxes(world: World, one: str, other: str) -> None:
    tenants = [await world.tenant() for _ in range(3)]
    invitations = world.engines_with(Options(invitation_limits=InvitationLimits(100, 2))).invitations
    name = world.new_id()
    async with world.transaction() as session:
        for (tenant_id, owner), domain in zip(tenants, (one, other), strict=False):
            await invitations.invite(session, tenant_id, owner, email=f"{name}@{domain}")
        tenant_id, owner = tenants[2]
        with pytest.raises(LimitExceededError):
            await invitations.invite(session, tenant_id, owner, email=f"{name}@{other}")


async def test_a_search_finds_an_address_as_it_was_given(world: World, one: str, other: str) -> None:
    name = world.new_id()
    await world.add_user(f"{name}@{one}")
    for term in (f"{name}@{one}", f"{name}@{one[:4]}", email_key(f"{name}@{other}")):
        found = await world.accounts.search_accounts(AccountSearchParams(term))
        assert [account.email for account in found] == [f"{name}@{one}"]


async def test_an_address_that_mail_cannot_encode_is_refused(world: World, one: str, other: str) -> None:
    tenant_id, owner = await world.tenant()
    for address in (f"eva@-{one}", f"eva@{other}.", f"=?eva@{one}", "eva@\N{SNOWMAN}.example.com"):
        with pytest.raises(AccountValidationError):
            await world.accounts.ensure_account(AccountEnsureRequest(world.new_id(), address, "Eva"))
        async with world.transaction() as session:
            with pytest.raises(InvalidInputError):
                await world.engines.invitations.invite(session, tenant_id, owner, email=address)
