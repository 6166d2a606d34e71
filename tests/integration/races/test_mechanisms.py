"""Each mechanism that the races rely on, taken out: then, and only then, the rule it stands for is broken.

The contenders are brought together by `support.races.meeting`, so that every outcome here is certain.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from support.races import meeting, rewrite
from support.seed import add_invitation, add_tenants, add_users, execute, owner_count, role_of, scalar

from hoc.cus.account.L5_engines.engines import Engines, postgres_engines
from hoc.cus.account.L5_schemas.errors import AccountsError, UnavailableError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.records import InvitationLimits
from hoc.database import Database

Work: TypeAlias = Callable[[AsyncConnection], Awaitable[object]]

# As patterns in the SQL that is sent, and what stands there once the mechanism is gone.
LOCK_TENANT = (r"(FROM account\.tenants\s[^()]*)FOR NO KEY UPDATE$", r"\1")
LOCK_INVITATION = (r"(FROM account\.invitations\s[^()]*)FOR UPDATE$", r"\1")
LOCK_PROFILE = (r"FOR NO KEY UPDATE\)", ")")
TENANT_CAP = (r"account\.invitation_limits\.sent < ", "0 < ")
RECIPIENT_CAP = (r"account\.recipient_limits\.sent < ", "0 < ")
QUOTA = (r"FROM tenant\) >= ", "FROM tenant) + 1000 >= ")
PENDING_IS_UNIQUE = (
    r"ON CONFLICT \(tenant_id, email_key\) WHERE status = 'pending'",
    "ON CONFLICT (tenant_id, invitation_id)",
)

AN_OWNER_IS_KEPT = "ALTER TABLE account.member_counts DROP CONSTRAINT ck_member_counts_keeps_an_owner"
ONE_PENDING = "DROP INDEX account.uq_invitations_pending"
ONE_ACCOUNT = "DROP INDEX account.uq_users_email_key_active"
ONE_SLUG = "ALTER TABLE account.tenant_slugs DROP CONSTRAINT pk_tenant_slugs"

in_place_and_taken_out = pytest.mark.parametrize("taken_out", [False, True])


@dataclass(frozen=True, slots=True)
class Contenders:
    """Two servers' worth of connections on a database of their own; a tenant with three owners."""

    url: str
    one: Database
    other: Database
    engines: Engines
    tenant: str
    owners: tuple[str, str, str]

    async def take_out(self, *mechanisms: tuple[str, str] | str) -> None:
        """A pattern and its replacement changes what is sent; a statement is executed."""
        for mechanism in mechanisms:
            if isinstance(mechanism, str):
                await execute(self.one, mechanism)
            else:
                rewrite(self.one, mechanism)
                rewrite(self.other, mechanism)

    async def meet(self, lock: str, *works: Work) -> list[bool]:
        """Start each work in a transaction, let all meet at the lock; whether each was done, not refused."""
        pools = (self.one, self.other)
        async with meeting(self.url, lock) as held:
            tasks = [await held.join(_is_done(pools[n % 2], work)) for n, work in enumerate(works)]
        return list(await asyncio.gather(*tasks))


async def _is_done(database: Database, work: Work) -> bool:
    try:
        async with database.transaction() as session:
            await work(session)
    except UnavailableError:
        raise
    except AccountsError:
        return False
    return True


@pytest.fixture
async def at(fresh_database_url: str) -> AsyncGenerator[Contenders]:
    async with AsyncExitStack() as stack:
        one, other = Database(fresh_database_url), Database(fresh_database_url)
        for database in (one, other):
            stack.push_async_callback(database.close)
        ada, bob, eve = await add_users(one, 3)
        [tenant] = await add_tenants(one, 1, {ada: "owner", bob: "owner", eve: "owner"})
        engines = postgres_engines(Options(invitation_limits=InvitationLimits(1, 1)))
        yield Contenders(fresh_database_url, one, other, engines, tenant, (ada, bob, eve))


@pytest.mark.parametrize(
    ("mechanisms", "is_safe"),
    [
        ((), True),
        ((LOCK_TENANT,), True),
        ((AN_OWNER_IS_KEPT,), True),
        ((LOCK_TENANT, AN_OWNER_IS_KEPT), False),
    ],
    ids=["in place", "no lock", "no constraint", "neither"],
)
async def test_the_lock_and_the_constraint_each_keep_an_owner(
    at: Contenders, mechanisms: tuple[tuple[str, str] | str, ...], *, is_safe: bool
) -> None:
    ada, bob, eve = at.owners
    members = at.engines.members
    async with at.one.transaction() as session:
        await members.leave(session, at.tenant, eve)
    await at.take_out(*mechanisms)
    await at.meet(
        "SELECT FROM account.member_counts FOR UPDATE",
        lambda session: members.remove(session, at.tenant, ada, bob),
        lambda session: members.remove(session, at.tenant, bob, ada),
    )
    assert await owner_count(at.one, at.tenant) == (1 if is_safe else 0)


@in_place_and_taken_out
async def test_the_lock_on_the_tenant_makes_a_demoted_owner_lose_the_right_to_demote(
    at: Contenders, *, taken_out: bool
) -> None:
    ada, bob, _ = at.owners
    change_role = at.engines.members.change_role
    if taken_out:
        await at.take_out(LOCK_TENANT)
    await at.meet(
        "SELECT FROM account.member_counts FOR UPDATE",
        lambda session: change_role(session, at.tenant, ada, bob, "viewer"),
        lambda session: change_role(session, at.tenant, bob, ada, "viewer"),
    )
    assert await owner_count(at.one, at.tenant) == (1 if taken_out else 2)


@in_place_and_taken_out
async def test_the_lock_on_the_tenant_makes_a_transfer_accepted_or_cancelled(
    at: Contenders, *, taken_out: bool
) -> None:
    ada, bob, eve = at.owners
    ownership = at.engines.ownership
    async with at.one.transaction() as session:
        await at.engines.members.change_role(session, at.tenant, ada, bob, "member")
        await ownership.start(session, at.tenant, ada, bob)
    if taken_out:
        await at.take_out(LOCK_TENANT)
    done = await at.meet(
        "SELECT FROM account.ownership_transfers FOR UPDATE",
        lambda session: ownership.accept(session, at.tenant, bob),
        lambda session: ownership.cancel(session, at.tenant, eve),
    )
    assert done == [True, taken_out]


@in_place_and_taken_out
@pytest.mark.parametrize("withdraw", ["revoke", "resend"])
async def test_the_lock_on_the_invitation_makes_an_accepted_one_final(
    at: Contenders, withdraw: str, *, taken_out: bool
) -> None:
    ada, *_ = at.owners
    invitations = at.engines.invitations
    acceptances = at.engines.acceptances
    invitation = await add_invitation(at.one, at.tenant, ada)
    if taken_out:
        await at.take_out(LOCK_INVITATION)
    await at.meet(
        "SELECT FROM account.invitations FOR UPDATE",
        lambda session: acceptances.accept(session, invitation.id, invitation.token),
        lambda session: getattr(invitations, withdraw)(session, at.tenant, ada, invitation.id),
    )
    joined = "SELECT count(*) FROM account.memberships WHERE role = 'member'"
    assert await scalar(at.one, joined) == 1
    status = await scalar(at.one, "SELECT status FROM account.invitations")
    assert (status == "accepted") is not taken_out


@in_place_and_taken_out
async def test_the_index_of_pending_invitations_lets_an_address_be_invited_once(
    at: Contenders, *, taken_out: bool
) -> None:
    ada, bob, _ = at.owners
    invite = postgres_engines(Options()).invitations.invite
    await _send_one(at)
    if taken_out:
        await at.take_out(PENDING_IS_UNIQUE, ONE_PENDING)
    done = await at.meet(
        "SELECT FROM account.invitation_limits FOR UPDATE",
        lambda session: invite(session, at.tenant, ada, email="new@example.com"),
        lambda session: invite(session, at.tenant, bob, email="new@example.com"),
    )
    assert done == [True, taken_out]


async def _send_one(at: Contenders) -> None:
    """Let the tenant's counter of the day exist, so that there is a row to meet at."""
    async with at.one.transaction() as session:
        await postgres_engines(Options()).invitations.invite(
            session, at.tenant, at.owners[0], email="first@example.com"
        )


@in_place_and_taken_out
async def test_the_condition_on_the_counter_holds_the_tenants_cap(at: Contenders, *, taken_out: bool) -> None:
    invite = postgres_engines(Options(invitation_limits=InvitationLimits(2, 9))).invitations.invite
    await _send_one(at)
    if taken_out:
        await at.take_out(TENANT_CAP)
    done = await at.meet(
        "SELECT FROM account.invitation_limits FOR UPDATE",
        lambda session: invite(session, at.tenant, at.owners[0], email="second@example.com"),
        lambda session: invite(session, at.tenant, at.owners[1], email="third@example.com"),
    )
    assert done == [True, taken_out]


@in_place_and_taken_out
async def test_the_condition_on_the_counter_holds_the_recipients_cap(
    at: Contenders, *, taken_out: bool
) -> None:
    ada, *_ = at.owners
    second, third = await add_tenants(at.one, 2, {ada: "owner"})
    invite = postgres_engines(Options(invitation_limits=InvitationLimits(9, 2))).invitations.invite
    await _send_one(at)
    if taken_out:
        await at.take_out(RECIPIENT_CAP)
    done = await at.meet(
        "SELECT FROM account.recipient_limits FOR UPDATE",
        lambda session: invite(session, second, ada, email="first@example.com"),
        lambda session: invite(session, third, ada, email="first@example.com"),
    )
    assert done == [True, taken_out]


@in_place_and_taken_out
async def test_the_lock_on_the_profile_keeps_both_preferences(at: Contenders, *, taken_out: bool) -> None:
    ada, *_ = at.owners
    update = at.engines.profiles.update
    if taken_out:
        await at.take_out(LOCK_PROFILE)
    await at.meet(
        "SELECT FROM account.users FOR UPDATE",
        lambda session: update(session, ada, preferences={"theme": "dark"}),
        lambda session: update(session, ada, preferences={"tabs": 4}),
    )
    query = "SELECT preferences FROM account.users WHERE user_id = :user"
    merged = {"tabs": 4} if taken_out else {"theme": "dark", "tabs": 4}
    assert await scalar(at.one, query, user=ada) == merged


@in_place_and_taken_out
async def test_the_condition_on_usage_holds_the_quota(at: Contenders, *, taken_out: bool) -> None:
    record = at.engines.usage.record
    async with at.one.transaction() as session:
        await record(session, at.tenant, runs=60)
    if taken_out:
        await at.take_out(QUOTA)
    done = await at.meet(
        "SELECT FROM account.usage_counters FOR UPDATE",
        lambda session: record(session, at.tenant, runs=30),
        lambda session: record(session, at.tenant, runs=30),
    )
    assert done == [True, taken_out]


@in_place_and_taken_out
async def test_the_index_of_addresses_lets_two_invitations_make_one_account(
    at: Contenders, *, taken_out: bool
) -> None:
    ada, *_ = at.owners
    second, third = await add_tenants(at.one, 2, {ada: "owner"})
    one = await add_invitation(at.one, second, ada, email="new@example.com")
    other = await add_invitation(at.one, third, ada, email="new@example.com")
    accept = at.engines.acceptances.accept
    if taken_out:
        await at.take_out(ONE_ACCOUNT)
    done = await at.meet(
        "LOCK TABLE account.users IN SHARE MODE",
        lambda session: accept(session, one.id, one.token),
        lambda session: accept(session, other.id, other.token),
    )
    assert done == [True, True]
    accounts = "SELECT count(*) FROM account.users WHERE email_key = 'new@example.com'"
    assert await scalar(at.one, accounts) == (2 if taken_out else 1)
    assert await role_of(at.one, second, await _account_in(at, third)) == (None if taken_out else "member")


async def _account_in(at: Contenders, tenant: str) -> Any:
    query = "SELECT user_id FROM account.memberships WHERE tenant_id = :tenant AND role = 'member'"
    return await scalar(at.one, query, tenant=tenant)


@in_place_and_taken_out
async def test_the_key_of_slugs_gives_one_once(at: Contenders, *, taken_out: bool) -> None:
    create = at.engines.projects.create
    if taken_out:
        await at.take_out(ONE_SLUG)
    done = await at.meet(
        "LOCK TABLE account.tenant_slugs IN SHARE MODE",
        lambda session: create(session, at.owners[0], name="Same", slug="same"),
        lambda session: create(session, at.owners[1], name="Same", slug="same"),
    )
    assert sum(done) == (2 if taken_out else 1)
