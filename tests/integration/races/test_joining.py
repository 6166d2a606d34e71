"""Domains and joining under concurrency: without one of the mechanisms, and only then, a rule is broken.

The contenders are brought together by `support.races.meeting`, so that every outcome here is certain.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from support.postgres import opened
from support.races import meeting, rewrite
from support.seed import add_account, add_tenants, add_users, damage, execute, scalar

from hoc.cus.account.L5_engines.engines import Engines
from hoc.cus.account.L5_schemas.errors import AccountsError, UnavailableError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.wiring import postgres_engines
from hoc.database import Database

DOMAIN = "acme.example"
NOW = datetime(2026, 3, 14, tzinfo=UTC)
LOOKS_FOR_OTHERS = (r"NOT \(EXISTS \(SELECT \* \s*FROM account\.tenant_domains AS others[^)]*\)\)", "true")
ONE_TENANT = "DROP INDEX account.uq_tenant_domains_verified"
HOLD_DOMAIN = (r"(FROM account\.tenant_domains\s[^()]*)FOR SHARE$", r"\1")
LOCK_TENANT = (r"(FROM account\.tenants\s[^()]*)FOR NO KEY UPDATE$", r"\1")

Work = Callable[[AsyncConnection], Awaitable[object]]


class Contenders:
    """Two servers' connections, two tenants that have claimed a domain, and two people in it."""

    def __init__(self, url: str, databases: tuple[Database, Database]) -> None:
        self.url = url
        self.databases = databases
        self.engines = self.at(NOW)
        self.tenants: list[str] = []
        self.people = ["usr_ada", "usr_eve"]
        self.owner = ""

    @staticmethod
    def at(now: datetime) -> Engines:
        return postgres_engines(Options(), clock=lambda: now)

    async def prepare(self) -> None:
        one = self.databases[0]
        [self.owner] = await add_users(one, 1)
        self.tenants = await add_tenants(one, 2, {self.owner: "owner"})
        async with one.transaction() as session:
            for each in self.people:
                await add_account(session, each, f"{each}@{DOMAIN}", email_verified=True, now=NOW)
            for tenant in self.tenants:
                await self.engines.domains.claim(session, tenant, self.owner, DOMAIN)

    async def open_domain(self, seats: int = 9) -> None:
        async with self.databases[0].transaction() as session:
            tenant, domains = self.tenants[0], self.engines.domains
            await self.engines.domain_checks.record(session, tenant, DOMAIN, "found")
            await domains.update(session, tenant, self.owner, DOMAIN, joining="open")
            await self.engines.projects.override_quotas(session, tenant, max_members=seats)

    async def meet(self, lock: str, *works: Work) -> list[bool]:
        """Start every work; release the lock once all wait. Returns whether each was done, not refused."""
        async with meeting(self.url, lock) as held:
            tasks = [await held.join(self._is_done(number, work)) for number, work in enumerate(works)]
        await asyncio.wait(tasks)
        return [task.result() for task in tasks]

    async def _is_done(self, number: int, work: Work) -> bool:
        try:
            async with self.databases[number % 2].transaction() as session:
                await work(session)
        except UnavailableError:
            raise
        except AccountsError:
            return False
        return True


@pytest.fixture
async def at(fresh_database_url: str, fresh_database: Database) -> AsyncGenerator[Contenders]:
    async with opened(fresh_database_url) as other:
        contenders = Contenders(fresh_database_url, (fresh_database, other))
        await contenders.prepare()
        yield contenders


@pytest.mark.parametrize("taken_out", [False, True])
async def test_one_of_two_tenants_proves_a_domain(at: Contenders, *, taken_out: bool) -> None:
    for database in at.databases:  # so that only the index is left
        rewrite(database, LOOKS_FOR_OTHERS)
    if taken_out:
        await execute(at.databases[0], ONE_TENANT)
    record = at.engines.domain_checks.record
    done = await at.meet(
        "SELECT FROM account.tenant_domains FOR UPDATE",
        *(partial(record, tenant_id=tenant, domain=DOMAIN, found="found") for tenant in at.tenants),
    )
    assert sorted(done) == [taken_out, True]
    verified = "SELECT count(*) FROM account.tenant_domains WHERE status = 'verified'"
    assert await scalar(at.databases[0], verified) == (2 if taken_out else 1)


@pytest.mark.parametrize("taken_out", [False, True])
async def test_the_last_seat_is_joined_once(at: Contenders, *, taken_out: bool) -> None:
    await at.open_domain(seats=2)
    if taken_out:
        for database in at.databases:
            rewrite(database, LOCK_TENANT)
    join, tenant = at.engines.joining.join, at.tenants[0]
    done = await at.meet(
        "SELECT FROM account.tenants FOR UPDATE",
        *(partial(join, caller_user_id=person, tenant_id=tenant) for person in at.people),
    )
    assert sorted(done) == [taken_out, True]
    assert await damage(at.databases[0]) == []


@pytest.mark.parametrize("taken_out", [False, True])
async def test_nobody_joins_by_a_domain_once_it_is_lost(at: Contenders, *, taken_out: bool) -> None:
    await at.open_domain()
    tenant = at.tenants[0]
    async with at.databases[0].transaction() as session:
        await at.engines.domain_checks.record(session, tenant, DOMAIN, "missing")
    if taken_out:
        for database in at.databases:
            rewrite(database, HOLD_DOMAIN)
    later = at.at(NOW + timedelta(days=7))
    done = await at.meet(
        "SELECT FROM account.tenants FOR UPDATE",
        lambda session: at.engines.joining.join(session, at.people[0], tenant),
        lambda session: later.domain_checks.record(session, tenant, DOMAIN, "missing"),
    )
    assert done == [True, True]
    order = (
        "SELECT (SELECT max(position) FROM account.outbox WHERE type = 'member.joined')"
        " < (SELECT position FROM account.outbox WHERE type = 'domain.lost')"
    )
    assert await scalar(at.databases[0], order) is not taken_out
