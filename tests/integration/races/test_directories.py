"""A tenant's directory under concurrency: without one of the mechanisms, and only then, a rule is broken.

The contenders are brought together by `support.races.meeting`, so that every outcome here is certain.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from scim2_models import Group, GroupMember, SCIMException
from scim2_server.storage import AsyncScimStorage
from support.postgres import opened
from support.races import meeting, rewrite
from support.seed import add_account, add_tenants, add_users, damage, execute, owner_count, role_of, scalar

from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.errors import AccountsError, LastOwnerError, UnavailableError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.scim import ScimCaller
from hoc.cus.account.wiring import postgres_engines
from hoc.database import Database
from hoc.scim.provider import PROVIDER
from hoc.scim.storage import TenantStorage
from hoc.scim.user import User

DOMAIN = "acme.example.org"
LOCK_DIRECTORY = (r"pg_advisory_xact_lock\(\d+, (hashtext\(\S+\))\)", r"\1")
LOCK_TENANT = (r"(FROM account\.tenants\s[^()]*)FOR NO KEY UPDATE$", r"\1")
AN_OWNER_IS_KEPT = "ALTER TABLE account.member_counts DROP CONSTRAINT ck_member_counts_keeps_an_owner"
ONE_NAME = "DROP INDEX account.uq_scim_users_user_name"
USERS, GROUPS = PROVIDER.resource_types

Work = Callable[[], Awaitable[object]]


class Contenders:
    """Two servers' connections, and a tenant with two owners, a proved domain, and a directory."""

    def __init__(self, url: str, databases: tuple[Database, Database]) -> None:
        self.url = url
        self.databases = databases
        self.engines = postgres_engines(Options(special_use_domains=True))
        self.tenant = ""
        self.owners: list[str] = []

    @property
    def one(self) -> Database:
        return self.databases[0]

    async def prepare(self) -> None:
        self.owners = await add_users(self.one, 2)
        [self.tenant] = await add_tenants(self.one, 1, dict.fromkeys(self.owners, "owner"))
        async with self.one.transaction() as session:
            await add_account(session, "usr_ada", f"ada@{DOMAIN}", email_verified=True, now=utc_now())
            await self.engines.domains.claim(session, self.tenant, self.owners[0], DOMAIN)
            await self.engines.domain_checks.record(session, self.tenant, DOMAIN, "found")
            await self.engines.scim_group_roles.set(
                session, self.tenant, self.owners[0], "Admins", role="admin"
            )

    def storage(self, server: int = 0) -> AsyncScimStorage:
        caller = ScimCaller(self.tenant, "sct_1")
        return TenantStorage(caller, self.databases[server].transaction, self.engines.provisioning)

    async def create_user(self, name: str, email: str) -> Any:
        user = User[Any].model_validate({"userName": name, "emails": [{"value": email}]})
        return await self.storage().create(USERS, user)

    async def take_out(self, *mechanisms: tuple[str, str] | str) -> None:
        for mechanism in mechanisms:
            if isinstance(mechanism, str):
                await execute(self.one, mechanism)
                continue
            for database in self.databases:
                rewrite(database, mechanism)

    async def meet(self, lock: str, *works: Work) -> list[str]:
        """Start every work; release the lock once all wait. Returns what each was refused for, or ""."""
        async with meeting(self.url, lock) as held:
            tasks = [await held.join(_outcome(work)) for work in works]
        await asyncio.wait(tasks)
        return [task.result() for task in tasks]


async def _outcome(work: Work) -> str:
    try:
        await work()
    except UnavailableError:
        raise
    except (AccountsError, SCIMException) as problem:
        return type(problem).__name__
    return ""


@pytest.fixture
async def at(fresh_database_url: str, fresh_database: Database) -> AsyncGenerator[Contenders]:
    async with opened(fresh_database_url) as other:
        contenders = Contenders(fresh_database_url, (fresh_database, other))
        await contenders.prepare()
        yield contenders


@pytest.mark.parametrize("taken_out", [False, True])
async def test_a_directory_and_a_leaving_owner_keep_one(at: Contenders, *, taken_out: bool) -> None:
    ada, bob = at.owners
    user = await at.create_user("ada", f"{ada}@example.com")
    if taken_out:
        await at.take_out(LOCK_TENANT, AN_OWNER_IS_KEPT)

    async def leave() -> None:
        async with at.databases[1].transaction() as session:
            await at.engines.members.leave(session, at.tenant, bob)

    user.active = False
    outcomes = await at.meet(
        "SELECT FROM account.member_counts FOR UPDATE", lambda: at.storage().update(USERS, user), leave
    )
    assert await owner_count(at.one, at.tenant) == (0 if taken_out else 1)
    assert sorted(outcomes) == (["", ""] if taken_out else ["", LastOwnerError.__name__])


@pytest.mark.parametrize("taken_out", [False, True])
async def test_a_name_is_given_once(at: Contenders, *, taken_out: bool) -> None:
    """By the index alone: the lock of the directory is taken out."""
    await at.create_user("first", "first@example.com")  # makes the count to meet at
    await at.take_out(LOCK_DIRECTORY, *([ONE_NAME] if taken_out else []))

    def create(server: int) -> Work:
        return lambda: at.storage(server).create(USERS, User[Any](user_name="Eve"))

    outcomes = await at.meet("SELECT FROM account.scim_counts FOR UPDATE", create(0), create(1))
    assert sorted(outcomes) == (["", ""] if taken_out else ["", "UniquenessException"])
    named = "SELECT count(*) FROM account.scim_users WHERE user_name = 'eve'"
    assert await scalar(at.one, named) == (2 if taken_out else 1)


@pytest.mark.parametrize("taken_out", [False, True])
async def test_no_change_of_a_version_is_lost(at: Contenders, *, taken_out: bool) -> None:
    user = await at.create_user("eve", "eve@example.com")
    if taken_out:
        await at.take_out(LOCK_DIRECTORY)

    def title(server: int, given: str) -> Work:
        changed = user.model_copy(update={"title": given})
        return lambda: at.storage(server).update(USERS, changed, expected_version=user.meta.version)

    works = [title(0, "Countess"), title(1, "Engineer")]
    outcomes = await at.meet("SELECT FROM account.scim_users FOR UPDATE", *works)
    assert sorted(outcomes) == (["", ""] if taken_out else ["", "PreconditionFailedException"])


@pytest.mark.parametrize("member_first", [False, True])
async def test_a_group_and_its_members_end_do_not_deadlock(at: Contenders, *, member_first: bool) -> None:
    user = await at.create_user("ada", f"ada@{DOMAIN}")
    group: Any = await at.storage().create(GROUPS, Group(display_name="Admins"))
    group.members = [GroupMember.model_validate({"value": user.id})]
    user.active = False
    works: list[Work] = [
        lambda: at.storage(0).update(GROUPS, group),
        lambda: at.storage(1).update(USERS, user),
    ]
    if member_first:
        works.reverse()
    assert await at.meet("SELECT FROM account.tenants FOR UPDATE", *works) == ["", ""]
    assert await role_of(at.one, at.tenant, "usr_ada") is None
    user.active = True
    await at.storage().update(USERS, user)
    assert await role_of(at.one, at.tenant, "usr_ada") == "admin"
    assert await damage(at.one) == []
