"""The identity service's mechanisms taken out one by one: then, and only then, its rule is broken.

The contenders are brought together by `support.races.meeting`, so that every outcome here is certain.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from support.races import meeting, rewrite
from support.seed import add_invitation, add_tenants, add_users, damage, execute, scalar

import hoc.database
from hoc.cus.account.L5_engines.account_service import AccountService, create_account_service
from hoc.cus.account.L5_engines.engines import postgres_engines
from hoc.cus.account.L5_schemas.errors import AccountsError, UnavailableError
from hoc.cus.account.L5_schemas.identity import (
    AccountEnsureRequest,
    AccountPreferencesRequest,
    AccountStatusChangeRequest,
    AccountUpdateRequest,
)
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L6_drivers import accounts, invitations, registrations
from hoc.database import Database

# As patterns in the SQL that is sent, and what stands there once the mechanism is gone.
LOCK_ACCOUNT = (r"(FROM account\.users\s[^()]*)FOR NO KEY UPDATE$", r"\1")
LOCK_ACCOUNT_WHILE_JOINING = (r"(FROM account\.users\s[^()]*)FOR SHARE$", r"\1")
LOCK_WHILE_MERGING = (r"FOR NO KEY UPDATE\)", ")")
LET_THE_FIRST_IN = (r"ON CONFLICT DO NOTHING", "")

ONE_ADDRESS = "DROP INDEX account.uq_users_email_key_active"
AN_OWNER_IS_KEPT = "ALTER TABLE account.member_counts DROP CONSTRAINT ck_member_counts_keeps_an_owner"

ACCOUNTS = "LOCK TABLE account.users IN SHARE MODE"
ACTIVE, INACTIVE = AccountStatusChangeRequest(is_active=True), AccountStatusChangeRequest(is_active=False)

in_place_and_taken_out = pytest.mark.parametrize("taken_out", [False, True])


@dataclass(frozen=True, slots=True)
class Rivals:
    """Two servers' worth of connections on a database of their own."""

    url: str
    databases: tuple[Database, Database]
    one: AccountService
    other: AccountService

    @property
    def database(self) -> Database:
        return self.databases[0]

    async def take_out(self, mechanism: tuple[str, str] | str) -> None:
        """A pattern and its replacement changes what is sent; a statement is executed."""
        if isinstance(mechanism, str):
            await execute(self.database, mechanism)
            return
        for database in self.databases:
            rewrite(database, mechanism)

    async def meet(self, lock: str, *works: Coroutine[Any, Any, object]) -> list[bool]:
        """Let all meet at the lock; whether each was done, not refused."""
        async with meeting(self.url, lock) as held:
            tasks = [await held.join(_is_done(work)) for work in works]
        await asyncio.wait(tasks)
        return [task.result() for task in tasks]


async def _is_done(work: Coroutine[Any, Any, object]) -> bool:
    try:
        await work
    except UnavailableError:
        raise
    except AccountsError:
        return False
    return True


@pytest.fixture
async def at(fresh_database_url: str) -> AsyncGenerator[Rivals]:
    async with AsyncExitStack() as stack:
        one, other = Database(fresh_database_url), Database(fresh_database_url)
        for database in (one, other):
            stack.push_async_callback(database.close)
        services = create_account_service(one), create_account_service(other)
        yield Rivals(fresh_database_url, (one, other), *services)


@in_place_and_taken_out
async def test_the_conflict_clause_lets_everybody_have_the_first_ones_account(
    at: Rivals, *, taken_out: bool
) -> None:
    request = AccountEnsureRequest("ada", "ada@example.com", "Ada")
    if taken_out:
        await at.take_out(LET_THE_FIRST_IN)
        with pytest.raises(Exception, match="pk_users"):
            await at.meet(ACCOUNTS, at.one.ensure_account(request), at.other.ensure_account(request))
        return
    done = await at.meet(ACCOUNTS, at.one.ensure_account(request), at.other.ensure_account(request))
    assert done == [True, True]
    assert await scalar(at.database, "SELECT count(*) FROM account.users") == 1
    assert await damage(at.database) == []


@in_place_and_taken_out
async def test_the_index_of_addresses_gives_one_to_one_account(at: Rivals, *, taken_out: bool) -> None:
    if taken_out:
        await at.take_out(ONE_ADDRESS)
    done = await at.meet(
        ACCOUNTS,
        at.one.ensure_account(AccountEnsureRequest("ada", "ada@example.com", "Ada")),
        at.other.ensure_account(AccountEnsureRequest("eve", "ADA@example.com", "Eve")),
    )
    assert sum(done) == (2 if taken_out else 1)


@in_place_and_taken_out
@pytest.mark.parametrize("way", ["move", "revive"])
async def test_the_index_of_addresses_lets_one_account_come_to_it(
    at: Rivals, way: str, *, taken_out: bool
) -> None:
    users = await add_users(at.database, 2)
    to_one = AccountUpdateRequest(email="one@example.com")
    if way == "revive":
        for user in users:
            await at.one.update_account_profile(user, to_one)
            await at.one.change_account_status(user, INACTIVE)
    if taken_out:
        await at.take_out(ONE_ADDRESS)
    works = [
        service.update_account_profile(user, to_one)
        if way == "move"
        else service.change_account_status(user, ACTIVE)
        for service, user in zip((at.one, at.other), users, strict=True)
    ]
    done = await at.meet("SELECT FROM account.users FOR UPDATE", *works)
    assert sum(done) == (2 if taken_out else 1)


@in_place_and_taken_out
async def test_the_lock_on_the_account_counts_its_end_once(at: Rivals, *, taken_out: bool) -> None:
    [user] = await add_users(at.database, 1)
    if taken_out:
        await at.take_out(LOCK_ACCOUNT)
    done = await at.meet(
        "SELECT FROM account.users FOR UPDATE",
        at.one.change_account_status(user, INACTIVE),
        at.other.delete_account(user),
    )
    assert done == [True, True]
    assert bool(await damage(at.database)) is taken_out


@in_place_and_taken_out
async def test_the_lock_on_the_account_lets_nobody_join_who_has_gone(at: Rivals, *, taken_out: bool) -> None:
    owner, user = await add_users(at.database, 2)
    [tenant] = await add_tenants(at.database, 1, {owner: "owner"})
    invitation = await add_invitation(at.database, tenant, owner, email=f"{user}@example.com")
    if taken_out:
        await at.take_out(LOCK_ACCOUNT_WHILE_JOINING)

    async def accept() -> None:
        async with at.database.transaction() as session:
            acceptances = postgres_engines(Options()).acceptances
            await acceptances.accept(session, invitation.id, invitation.token)

    done = await at.meet(
        "SELECT FROM account.member_counts FOR UPDATE",
        accept(),
        at.other.change_account_status(user, INACTIVE),
    )
    assert done == [True, True]
    assert any("unlike its account" in each for each in await damage(at.database)) is taken_out


@in_place_and_taken_out
async def test_the_constraint_keeps_one_of_two_last_owners(at: Rivals, *, taken_out: bool) -> None:
    ada, bob = await add_users(at.database, 2)
    await add_tenants(at.database, 1, {ada: "owner", bob: "owner"})
    if taken_out:
        await at.take_out(AN_OWNER_IS_KEPT)
    done = await at.meet(
        "SELECT FROM account.tenants FOR UPDATE",
        at.one.change_account_status(ada, INACTIVE),
        at.other.delete_account(bob),
    )
    assert done == [True, taken_out]
    assert bool(await damage(at.database)) is taken_out


@in_place_and_taken_out
async def test_the_lock_while_merging_keeps_both_preferences(at: Rivals, *, taken_out: bool) -> None:
    [user] = await add_users(at.database, 1)
    if taken_out:
        await at.take_out(LOCK_WHILE_MERGING)
    await at.meet(
        "SELECT FROM account.users FOR UPDATE",
        at.one.update_account_preferences(user, AccountPreferencesRequest({"theme": "dark"})),
        at.other.update_account_preferences(user, AccountPreferencesRequest({"tabs": 4})),
    )
    merged = (await at.one.get_account_profile(user)).preferences
    assert merged == ({"tabs": 4} if taken_out else {"theme": "dark", "tabs": 4})


@in_place_and_taken_out
async def test_beginning_again_gets_two_out_of_a_deadlock(
    at: Rivals, monkeypatch: pytest.MonkeyPatch, *, taken_out: bool
) -> None:
    """Joining with a new account counts it before the member; deactivating counts the member before it."""
    for module in (registrations, accounts, invitations):
        monkeypatch.setattr(module, "any_shard", lambda: 0)
    owner, user = await add_users(at.database, 2)
    [tenant] = await add_tenants(at.database, 1, {owner: "owner", user: "member"})
    invitation = await add_invitation(at.database, tenant, owner)
    acceptances = postgres_engines(Options()).acceptances
    works = (
        at.database.transact(lambda session: acceptances.accept(session, invitation.id, invitation.token)),
        at.other.change_account_status(user, INACTIVE),
    )
    if taken_out:
        monkeypatch.setattr(hoc.database, "MAX_ATTEMPTS", 1)
        with pytest.raises(UnavailableError):
            await at.meet("SELECT FROM account.account_totals FOR UPDATE", *works)
        return
    assert await at.meet("SELECT FROM account.account_totals FOR UPDATE", *works) == [True, True]
    assert await damage(at.database) == []
