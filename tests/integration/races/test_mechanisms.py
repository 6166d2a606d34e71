"""Without one of the mechanisms that the races rely on, and only then, its rule is broken.

The contenders are brought together by `support.races.meeting`, so that every outcome here is certain.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from support.postgres import opened
from support.races import meeting, rewrite
from support.seed import (
    add_invitation,
    add_tenants,
    add_users,
    damage,
    execute,
    owner_count,
    role_of,
    scalar,
)

from hoc.cus.account.L5_engines.account_service import AccountService
from hoc.cus.account.L5_engines.engines import Engines
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.errors import AccountsError, UnavailableError
from hoc.cus.account.L5_schemas.identity import (
    AccountEnsureRequest,
    AccountPreferencesRequest,
    AccountStatusChangeRequest,
    AccountUpdateRequest,
)
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.port_types import InvitationLimits, Invitee
from hoc.cus.account.L6_drivers import account_inserts, account_status
from hoc.cus.account.wiring import create_account_service, postgres_engines
from hoc.database import Database, connections

Work: TypeAlias = Coroutine[Any, Any, object]
Mechanism: TypeAlias = tuple[str, str] | str
"""A pattern in the SQL that is sent with its replacement, or a statement that changes the schema."""

LOCK_TENANT = (r"(FROM account\.tenants\s[^()]*)FOR NO KEY UPDATE$", r"\1")
LOCK_INVITATION = (r"(FROM account\.invitations\s[^()]*)FOR UPDATE$", r"\1")
IS_STILL_PENDING = (
    r"(account\.invitations\.invitation_id = \$\d+::VARCHAR) AND account\.invitations\.status = 'pending'",
    r"\1",
)
KEPT_NUMBERS = "ALTER TABLE account.invitation_counts DROP CONSTRAINT ck_invitation_counts_not_negative"
CLOSED_IS_FINAL = [LOCK_INVITATION, IS_STILL_PENDING, KEPT_NUMBERS]
LOCK_ACCOUNT = (r"(?s)(FROM account\.users\s+WHERE \S+ = coalesce\(.*)FOR NO KEY UPDATE$", r"\1")
LOCK_ACCOUNT_WHILE_JOINING = (r"(FROM account\.users\s[^()]*)FOR NO KEY UPDATE$", r"\1")
LOCK_WHILE_MERGING = (r"FOR NO KEY UPDATE\)", ")")
ENSURE_ONLY_IF_ABSENT = (r"ON CONFLICT DO NOTHING", "")
TENANT_CAP = (r"account\.invitation_limits\.sent < ", "0 < ")
RECIPIENT_CAP = (r"account\.recipient_limits\.sent < ", "0 < ")
USER_CAP = (r"account\.tenant_creations\.created < ", "0 < ")
PENDING_IS_UNIQUE = (
    r"ON CONFLICT \(tenant_id, email_key\) WHERE status = 'pending'",
    "ON CONFLICT (tenant_id, invitation_id)",
)
SEATS_ARE_HELD = (
    "DO $$ BEGIN EXECUTE replace("
    "pg_get_functiondef('account.hold_seats'::regproc), 'FOR NO KEY UPDATE', ''); END $$"
)
AN_OWNER_IS_KEPT = "ALTER TABLE account.member_counts DROP CONSTRAINT ck_member_counts_keeps_an_owner"
ONE_PENDING = "DROP INDEX account.uq_invitations_pending"
ONE_ADDRESS = "DROP INDEX account.uq_users_email_key"
ONE_SLUG = "ALTER TABLE account.tenant_slugs DROP CONSTRAINT pk_tenant_slugs"

INACTIVE = AccountStatusChangeRequest(is_active=False)
ACTIVE = AccountStatusChangeRequest(is_active=True)


def rows(name: str) -> str:
    """Locks the rows of a table."""
    return f"SELECT FROM account.{name} FOR UPDATE"


def table(name: str) -> str:
    """Locks a table, where there is no row yet to meet at."""
    return f"LOCK TABLE account.{name} IN SHARE MODE"


in_place_and_taken_out = pytest.mark.parametrize("taken_out", [False, True])


@dataclass(frozen=True, slots=True)
class Contenders:
    """Two servers' worth of connections on a database of their own; a tenant with three owners."""

    url: str
    databases: tuple[Database, Database]
    services: tuple[AccountService, AccountService]
    tenant: str
    owners: list[str]

    @property
    def one(self) -> Database:
        return self.databases[0]

    def engines(self, tenant_cap: int = 9, recipient_cap: int = 9) -> Engines:
        return postgres_engines(Options(invitation_limits=InvitationLimits(tenant_cap, recipient_cap)))

    def transactions(self, *works: Callable[[AsyncConnection], Awaitable[object]]) -> list[Work]:
        """Each work in a transaction, on the two servers in turn."""
        return [_committed(self.databases[n % 2], work) for n, work in enumerate(works)]

    async def take_out(self, *mechanisms: Mechanism) -> None:
        for mechanism in mechanisms:
            if isinstance(mechanism, str):
                await execute(self.one, mechanism)
                continue
            for database in self.databases:
                rewrite(database, mechanism)

    async def meet(self, lock: str, works: Sequence[Work]) -> list[bool]:
        """Start every work; release the lock once all wait. Returns whether each was done, not refused."""
        async with meeting(self.url, lock) as held:
            tasks = [await held.join(_is_done(work)) for work in works]
        await asyncio.wait(tasks)
        return [task.result() for task in tasks]


async def _committed(database: Database, work: Callable[[AsyncConnection], Awaitable[object]]) -> None:
    async with database.transaction() as session:
        await work(session)


async def _is_done(work: Work) -> bool:
    try:
        await work
    except UnavailableError:
        raise
    except AccountsError:
        return False
    return True


@pytest.fixture
async def at(fresh_database_url: str, fresh_database: Database) -> AsyncGenerator[Contenders]:
    async with opened(fresh_database_url) as other:
        owners = await add_users(fresh_database, 3)
        [tenant] = await add_tenants(fresh_database, 1, dict.fromkeys(owners, "owner"))
        databases = (fresh_database, other)
        services = (create_account_service(fresh_database), create_account_service(other))
        yield Contenders(fresh_database_url, databases, services, tenant, owners)


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
    at: Contenders, mechanisms: tuple[Mechanism, ...], *, is_safe: bool
) -> None:
    ada, bob, eve = at.owners
    members = at.engines().members
    async with at.one.transaction() as session:
        await members.leave(session, at.tenant, eve)
    await at.take_out(*mechanisms)
    works = at.transactions(
        lambda session: members.remove(session, at.tenant, ada, bob),
        lambda session: members.remove(session, at.tenant, bob, ada),
    )
    await at.meet(rows("member_counts"), works)
    assert await owner_count(at.one, at.tenant) == (1 if is_safe else 0)


async def owners_demote_each_other(at: Contenders) -> list[Work]:
    ada, bob, _ = at.owners
    change_role = at.engines().members.change_role
    return at.transactions(
        lambda session: change_role(session, at.tenant, ada, bob, "viewer"),
        lambda session: change_role(session, at.tenant, bob, ada, "viewer"),
    )


async def last_owners_end_their_accounts(at: Contenders) -> list[Work]:
    ada, bob, _ = at.owners
    await add_tenants(at.one, 1, {ada: "owner", bob: "owner"})
    return [at.services[0].change_account_status(ada, INACTIVE), at.services[1].delete_account(bob)]


async def a_transfer_is_accepted_and_canceled(at: Contenders) -> list[Work]:
    ada, bob, eve = at.owners
    ownership = at.engines().ownership
    async with at.one.transaction() as session:
        await at.engines().members.change_role(session, at.tenant, ada, bob, "member")
        await ownership.start(session, at.tenant, ada, bob)
    return at.transactions(
        lambda session: ownership.accept(session, at.tenant, bob),
        lambda session: ownership.cancel(session, at.tenant, eve),
    )


async def an_invitation_is_accepted_and_revoked(at: Contenders, withdraw: str = "revoke") -> list[Work]:
    engines = at.engines()
    invitation = await add_invitation(at.one, at.tenant, at.owners[0])
    return at.transactions(
        lambda session: engines.acceptances.accept(session, invitation.id, invitation.token),
        lambda session: getattr(engines.invitations, withdraw)(
            session, at.tenant, at.owners[0], invitation.id
        ),
    )


async def an_invitation_is_accepted_and_resent(at: Contenders) -> list[Work]:
    return await an_invitation_is_accepted_and_revoked(at, "resend")


async def an_invitation_and_its_decline(
    at: Contenders, rival: str, *, declined_first: bool = False
) -> list[Work]:
    """The invited person, who has no account, declines while ``rival`` is done."""
    engines = at.engines()
    invitation = await add_invitation(at.one, at.tenant, at.owners[0])

    def decline(session: AsyncConnection) -> Awaitable[object]:
        return engines.received_invitations.decline(
            session, "newcomer", invitation.id, invitation.token, caller_verified_email=invitation.email
        )

    def other(session: AsyncConnection) -> Awaitable[object]:
        if rival == "accept":
            return engines.acceptances.accept(session, invitation.id, invitation.token)
        manage = getattr(engines.invitations, rival)
        done: Awaitable[object] = manage(session, at.tenant, at.owners[0], invitation.id)
        return done

    return at.transactions(*((decline, other) if declined_first else (other, decline)))


async def an_invitation_is_accepted_and_declined(at: Contenders) -> list[Work]:
    return await an_invitation_and_its_decline(at, "accept")


async def an_invitation_is_resent_and_declined(at: Contenders) -> list[Work]:
    return await an_invitation_and_its_decline(at, "resend")


async def an_invitation_is_revoked_and_declined(at: Contenders) -> list[Work]:
    return await an_invitation_and_its_decline(at, "revoke")


async def an_invitation_is_declined_and_resent(at: Contenders) -> list[Work]:
    return await an_invitation_and_its_decline(at, "resend", declined_first=True)


async def an_invitation_is_declined_and_revoked(at: Contenders) -> list[Work]:
    return await an_invitation_and_its_decline(at, "revoke", declined_first=True)


async def invite_twice(at: Contenders, tenants: list[str], emails: list[str], **caps: int) -> list[Work]:
    """Two invitations after a first one, which makes the counters to meet at."""
    invite = at.engines(**caps).invitations.invite
    async with at.one.transaction() as session:
        await invite(session, at.tenant, at.owners[0], email="first@example.com")
    (one, other), (email, other_email) = tenants, emails
    return at.transactions(
        lambda session: invite(session, one, at.owners[0], email=email),
        lambda session: invite(session, other, at.owners[0], email=other_email),
    )


async def an_address_is_invited_twice(at: Contenders) -> list[Work]:
    return await invite_twice(at, [at.tenant] * 2, ["new@example.com"] * 2)


async def a_tenant_invites_beyond_its_cap(at: Contenders) -> list[Work]:
    return await invite_twice(at, [at.tenant] * 2, ["second@example.com", "third@example.com"], tenant_cap=2)


async def an_address_is_invited_beyond_its_cap(at: Contenders) -> list[Work]:
    tenants = await add_tenants(at.one, 2, {at.owners[0]: "owner"})
    return await invite_twice(at, tenants, ["first@example.com"] * 2, recipient_cap=2)


async def with_seats(at: Contenders, seats: int) -> None:
    async with at.one.transaction() as session:
        await at.engines().projects.override_quotas(session, at.tenant, max_members=seats)


async def the_last_seat_is_invited_to_twice_about_midnight(at: Contenders) -> list[Work]:
    """On two days, so that the two do not meet at the counter of a day's mails."""
    await with_seats(at, 4)
    invite = at.engines().invitations.invite
    tomorrow = postgres_engines(Options(), clock=lambda: utc_now() + timedelta(days=1)).invitations
    return at.transactions(
        lambda session: invite(session, at.tenant, at.owners[0], email="one@example.com"),
        lambda session: tomorrow.invite(session, at.tenant, at.owners[0], email="other@example.com"),
    )


async def the_last_seat_is_invited_to_as_its_invitation_is_accepted(at: Contenders) -> list[Work]:
    """To whoever invites, the invitation has expired: their clock has moved on since it was accepted."""
    await with_seats(at, 4)
    invitation = await add_invitation(at.one, at.tenant, at.owners[0])
    later = postgres_engines(Options(), clock=lambda: utc_now() + timedelta(days=2))
    return at.transactions(
        lambda session: at.engines().acceptances.accept(session, invitation.id, invitation.token),
        lambda session: later.invitations.invite(session, at.tenant, at.owners[0], email="new@example.com"),
    )


async def the_last_seat_is_invited_to_as_a_member_comes_back(at: Contenders) -> list[Work]:
    await with_seats(at, 4)
    invitation = await add_invitation(at.one, at.tenant, at.owners[0])
    async with at.one.transaction() as session:
        await at.engines().acceptances.accept(session, invitation.id, invitation.token)
    member = str(await scalar(at.one, "SELECT user_id FROM account.memberships WHERE role = 'member'"))
    await at.services[0].change_account_status(member, INACTIVE)
    invite = at.engines().invitations.invite
    return [
        at.services[0].change_account_status(member, ACTIVE),
        *at.transactions(lambda session: invite(session, at.tenant, at.owners[0], email="new@example.com")),
    ]


async def a_user_creates_tenants_beyond_the_limit(at: Contenders) -> list[Work]:
    projects = postgres_engines(Options(tenants_per_user_per_day=2)).projects

    def create(session: AsyncConnection) -> Awaitable[object]:
        return projects.create(session, at.owners[0], name="Mine")

    async with at.one.transaction() as session:
        await create(session)
    return at.transactions(create, create)


async def a_slug_is_given_twice(at: Contenders) -> list[Work]:
    projects = at.engines().projects

    def create(session: AsyncConnection) -> Awaitable[object]:
        return projects.create(session, at.owners[0], name="Same", slug="same")

    return at.transactions(create, create)


async def a_slug_is_moved_to_twice(at: Contenders) -> list[Work]:
    [other] = await add_tenants(at.one, 1, {at.owners[0]: "owner"})
    update = at.engines().projects.update

    def to_the_same(tenant: str) -> Callable[[AsyncConnection], Awaitable[object]]:
        return lambda session: update(session, tenant, at.owners[0], tenant, slug="same")

    return at.transactions(to_the_same(at.tenant), to_the_same(other))


async def two_accounts_are_made_with_an_address(at: Contenders) -> list[Work]:
    return [
        service.ensure_account(AccountEnsureRequest(name, email, name))
        for service, name, email in zip(
            at.services, ("ada", "eve"), ("ada@example.com", "ADA@example.com"), strict=True
        )
    ]


async def two_accounts_move_to_an_address(at: Contenders) -> list[Work]:
    to_one = AccountUpdateRequest(email="one@example.com")
    return [
        service.update_account_profile(user, to_one)
        for service, user in zip(at.services, at.owners, strict=False)
    ]


async def two_accounts_are_revived_at_an_address(at: Contenders) -> list[Work]:
    users = await add_users(at.one, 2)
    for user in users:
        await at.services[0].update_account_profile(user, AccountUpdateRequest(email="one@example.com"))
        await at.services[0].delete_account(user)
    return [
        service.change_account_status(user, ACTIVE) for service, user in zip(at.services, users, strict=True)
    ]


Contention: TypeAlias = Callable[[Contenders], Awaitable[list[Work]]]

# Rows that wait for a table's lock, or for each other's unique key, are not served in the order of coming.
IN_ANY_ORDER: set[Contention] = {
    a_slug_is_given_twice,
    a_slug_is_moved_to_twice,
    two_accounts_are_made_with_an_address,
    two_accounts_move_to_an_address,
    two_accounts_are_revived_at_an_address,
}

ACCEPTED_IS_FINAL = [
    ("SELECT count(*) FROM account.memberships WHERE role = 'member'", 1, 1),
    ("SELECT status = 'accepted' FROM account.invitations", True, False),
]
SEATS = (
    "SELECT (SELECT sum(members) FROM account.member_counts)"
    " + (SELECT count(*) FROM account.invitations WHERE status = 'pending')"
)
INVITATION_STATUS = "SELECT status FROM account.invitations"
# What is stored in the end: with the mechanism, and without it.
STORED: dict[Contention, list[tuple[str, object, object]]] = {
    owners_demote_each_other: [("SELECT count(*) FROM account.memberships WHERE role = 'owner'", 2, 1)],
    last_owners_end_their_accounts: [
        ("SELECT min(members) FROM account.member_counts WHERE role = 'owner'", 1, 0)
    ],
    a_slug_is_moved_to_twice: [("SELECT count(*) FROM account.tenants WHERE slug = 'same'", 1, 2)],
    the_last_seat_is_invited_to_twice_about_midnight: [(SEATS, 4, 5)],
    the_last_seat_is_invited_to_as_its_invitation_is_accepted: [(SEATS, 4, 5)],
    the_last_seat_is_invited_to_as_a_member_comes_back: [(SEATS, 4, 5)],
    an_invitation_is_accepted_and_revoked: [*ACCEPTED_IS_FINAL],
    an_invitation_is_accepted_and_declined: [*ACCEPTED_IS_FINAL],
    an_invitation_is_resent_and_declined: [(INVITATION_STATUS, "pending", "declined")],
    an_invitation_is_revoked_and_declined: [(INVITATION_STATUS, "revoked", "declined")],
    an_invitation_is_declined_and_revoked: [(INVITATION_STATUS, "declined", "revoked")],
}


@in_place_and_taken_out
@pytest.mark.parametrize(
    ("contend", "lock", "mechanisms"),
    [
        (owners_demote_each_other, rows("member_counts"), [LOCK_TENANT]),
        (last_owners_end_their_accounts, rows("tenants"), [AN_OWNER_IS_KEPT]),
        (a_transfer_is_accepted_and_canceled, rows("ownership_transfers"), [LOCK_TENANT]),
        (an_invitation_is_accepted_and_revoked, rows("invitations"), CLOSED_IS_FINAL),
        (an_invitation_is_accepted_and_resent, rows("invitations"), CLOSED_IS_FINAL),
        (an_invitation_is_accepted_and_declined, rows("invitations"), CLOSED_IS_FINAL),
        (an_invitation_is_resent_and_declined, rows("invitations"), CLOSED_IS_FINAL),
        (an_invitation_is_revoked_and_declined, rows("invitations"), CLOSED_IS_FINAL),
        (an_invitation_is_declined_and_resent, rows("invitations"), CLOSED_IS_FINAL),
        (an_invitation_is_declined_and_revoked, rows("invitations"), CLOSED_IS_FINAL),
        (an_address_is_invited_twice, rows("invitation_limits"), [PENDING_IS_UNIQUE, ONE_PENDING]),
        (a_tenant_invites_beyond_its_cap, rows("invitation_limits"), [TENANT_CAP]),
        (an_address_is_invited_beyond_its_cap, rows("recipient_limits"), [RECIPIENT_CAP]),
        (the_last_seat_is_invited_to_twice_about_midnight, rows("memberships"), [SEATS_ARE_HELD]),
        (
            the_last_seat_is_invited_to_as_its_invitation_is_accepted,
            rows("member_counts"),
            [SEATS_ARE_HELD],
        ),
        (the_last_seat_is_invited_to_as_a_member_comes_back, rows("member_counts"), [SEATS_ARE_HELD]),
        (a_user_creates_tenants_beyond_the_limit, rows("tenant_creations"), [USER_CAP]),
        (a_slug_is_given_twice, table("tenant_slugs"), [ONE_SLUG]),
        (a_slug_is_moved_to_twice, table("tenant_slugs"), [ONE_SLUG]),
        (two_accounts_are_made_with_an_address, table("users"), [ONE_ADDRESS]),
        (two_accounts_move_to_an_address, rows("users"), [ONE_ADDRESS]),
        (two_accounts_are_revived_at_an_address, rows("users"), [ONE_ADDRESS]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_mechanism_lets_one_of_two_be_done(
    at: Contenders, contend: Contention, lock: str, mechanisms: list[Mechanism], *, taken_out: bool
) -> None:
    works = await contend(at)
    if taken_out:
        await at.take_out(*mechanisms)
    done = await at.meet(lock, works)
    assert (sorted(done, reverse=True) if contend in IN_ANY_ORDER else done) == [True, taken_out]
    assert taken_out or await damage(at.one) == []
    for query, in_place, without in STORED.get(contend, []):
        assert await scalar(at.one, query) == (without if taken_out else in_place)


async def an_account_ends_twice(at: Contenders) -> list[Work]:
    [user] = await add_users(at.one, 1)
    return [at.services[0].change_account_status(user, INACTIVE), at.services[1].delete_account(user)]


async def an_account_joins_and_ends(at: Contenders) -> list[Work]:
    [user] = await add_users(at.one, 1)
    invitation = await add_invitation(at.one, at.tenant, at.owners[0], email=f"{user}@example.com")
    accept = at.engines().acceptances.accept
    return [
        *at.transactions(lambda session: accept(session, invitation.id, invitation.token)),
        at.services[1].change_account_status(user, INACTIVE),
    ]


@in_place_and_taken_out
@pytest.mark.parametrize(
    ("contend", "lock", "mechanism", "damaged"),
    [
        (an_account_ends_twice, rows("users"), LOCK_ACCOUNT, "totals"),
        (an_account_joins_and_ends, rows("member_counts"), LOCK_ACCOUNT_WHILE_JOINING, "unlike its account"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_lock_on_the_account_keeps_its_rows_right(
    at: Contenders, contend: Contention, lock: str, mechanism: Mechanism, damaged: str, *, taken_out: bool
) -> None:
    works = await contend(at)
    if taken_out:
        await at.take_out(mechanism)
    assert await at.meet(lock, works) == [True, True]
    found = await damage(at.one)
    assert any(damaged in each for each in found) if taken_out else found == []


@in_place_and_taken_out
@pytest.mark.parametrize("service", ["console", "identity"])
async def test_the_lock_while_merging_keeps_both_preferences(
    at: Contenders, service: str, *, taken_out: bool
) -> None:
    user = at.owners[0]
    update = at.engines().profiles.update
    if taken_out:
        await at.take_out(LOCK_WHILE_MERGING)
    if service == "console":
        works = at.transactions(
            lambda session: update(session, user, preferences={"theme": "dark"}),
            lambda session: update(session, user, preferences={"tabs": 4}),
        )
    else:
        works = [
            at.services[0].update_account_preferences(user, AccountPreferencesRequest({"theme": "dark"})),
            at.services[1].update_account_preferences(user, AccountPreferencesRequest({"tabs": 4})),
        ]
    await at.meet(rows("users"), works)
    merged = (await at.services[0].get_account_profile(user)).preferences
    assert merged == ({"tabs": 4} if taken_out else {"theme": "dark", "tabs": 4})


@in_place_and_taken_out
@pytest.mark.parametrize("name", ["tenants", "memberships"])
async def test_the_locks_while_merging_keep_both_metadata(
    at: Contenders, name: str, *, taken_out: bool
) -> None:
    tenant, owner = at.tenant, at.owners[0]
    if taken_out:
        await at.take_out(LOCK_TENANT, LOCK_WHILE_MERGING)

    def merge(patch: dict[str, Any]) -> Callable[[AsyncConnection], Awaitable[object]]:
        projects, members = at.engines().projects, at.engines().members
        if name == "tenants":
            return lambda session: projects.update(session, tenant, owner, tenant, metadata=patch)
        return lambda session: members.update(session, tenant, owner, owner, metadata=patch)

    await at.meet(rows(name), at.transactions(merge({"theme": "dark"}), merge({"tabs": 4})))
    stored = await scalar(at.one, f"SELECT metadata FROM account.{name} WHERE metadata <> '{{}}'")
    assert stored == ({"tabs": 4} if taken_out else {"theme": "dark", "tabs": 4})


@in_place_and_taken_out
async def test_the_index_of_addresses_makes_one_account_of_two(at: Contenders, *, taken_out: bool) -> None:
    """Two invitations of a new address, accepted at once, make one account."""
    tenants = await add_tenants(at.one, 2, {at.owners[0]: "owner"})
    one, other = [
        await add_invitation(at.one, each, at.owners[0], email="new@example.com") for each in tenants
    ]
    accept = at.engines().acceptances.accept
    if taken_out:
        await at.take_out(ONE_ADDRESS)
    works = at.transactions(
        lambda session: accept(session, one.id, one.token),
        lambda session: accept(session, other.id, other.token),
    )
    assert await at.meet(table("users"), works) == [True, True]
    found = "SELECT count(*) FROM account.users WHERE email_key = 'new@example.com'"
    assert await scalar(at.one, found) == (2 if taken_out else 1)
    joined = "SELECT user_id FROM account.memberships WHERE tenant_id = :tenant AND role = 'member'"
    user = str(await scalar(at.one, joined, tenant=tenants[1]))
    assert await role_of(at.one, tenants[0], user) == (None if taken_out else "member")


@in_place_and_taken_out
async def test_the_conflict_clause_gives_both_callers_one_account(at: Contenders, *, taken_out: bool) -> None:
    request = AccountEnsureRequest("ada", "ada@example.com", "Ada")
    works: list[Work] = [service.ensure_account(request) for service in at.services]
    lock = table("users")
    if taken_out:
        await at.take_out(ENSURE_ONLY_IF_ABSENT)
        with pytest.raises(Exception, match="pk_users"):
            await at.meet(lock, works)
        return
    assert await at.meet(lock, works) == [True, True]
    assert await scalar(at.one, "SELECT count(*) FROM account.users WHERE user_id = 'ada'") == 1
    assert await damage(at.one) == []


@in_place_and_taken_out
async def test_a_second_attempt_gets_two_out_of_a_deadlock(
    at: Contenders, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    """Joining with a new account counts it before the member; deactivating counts the member before it."""
    for module in (account_inserts, account_status):
        monkeypatch.setattr(module, "any_shard", lambda: 0)
    owner, user = await add_users(at.one, 2)
    [tenant] = await add_tenants(at.one, 1, {owner: "owner", user: "member"})
    invitation = await add_invitation(at.one, tenant, owner)
    accept = at.engines().acceptances.accept
    works = [
        at.one.transact(lambda session: accept(session, invitation.id, invitation.token)),
        at.services[1].change_account_status(user, INACTIVE),
    ]
    lock = rows("account_totals")
    if taken_out:
        monkeypatch.setattr(connections, "MAX_ATTEMPTS", 1)
        with pytest.raises(UnavailableError):
            await at.meet(lock, works)
        return
    assert await at.meet(lock, works) == [True, True]
    assert await damage(at.one) == []


@in_place_and_taken_out
async def test_two_batches_with_the_same_recipients_do_not_deadlock(
    at: Contenders, *, taken_out: bool
) -> None:
    [other] = await add_tenants(at.one, 1, {at.owners[0]: "owner"})
    rows = [Invitee("ada@x.y"), Invitee("bob@x.y")]
    if taken_out:
        await at.take_out((r"pg_advisory_xact_lock\(\d+, (\S+)\)", r"\1"))
    invite_many = at.engines().invitations.invite_many
    works = at.transactions(
        lambda session: invite_many(session, at.tenant, at.owners[0], rows),
        lambda session: invite_many(session, other, at.owners[0], rows[::-1]),
    )
    held = "SELECT FROM account.tenants FOR NO KEY UPDATE"
    if taken_out:
        with pytest.raises(UnavailableError):
            await at.meet(held, works)
    else:
        assert await at.meet(held, works) == [True, True]


@in_place_and_taken_out
async def test_a_joining_member_is_found_by_the_new_name(at: Contenders, *, taken_out: bool) -> None:
    """The new name waits for whom joins, and then finds the membership."""
    [user] = await add_users(at.one, 1)
    invitation = await add_invitation(at.one, at.tenant, at.owners[0], email=f"{user}@example.com")
    if taken_out:
        await at.take_out(LOCK_ACCOUNT_WHILE_JOINING)
    engines = at.engines()
    works = at.transactions(
        lambda session: engines.acceptances.accept(session, invitation.id, invitation.token),
        lambda session: engines.profiles.update(session, user, display_name="Ada"),
    )
    assert await at.meet(rows("member_counts"), works) == [True, True]
    assert await role_of(at.one, at.tenant, user) == "member"
    assert bool(await damage(at.one)) is taken_out
