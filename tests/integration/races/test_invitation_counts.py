"""The kept numbers of invitations are those that a count gives, whatever happens to invitations at once."""

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from support.races import WAITING_FOR_LOCKS
from support.seed import add_tenants, add_users, damage, scalar
from support.waiting import until

from hoc.cus.account.L5_engines.engines import Engines
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.errors import AccountsError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.port_types import InvitationLimits, Invitee, Page
from hoc.cus.account.L5_schemas.results import ExtendedInvitationListResult, ExtendedInvitationResult
from hoc.cus.account.L5_schemas.values import InvitationStatus, MailDelivery
from hoc.cus.account.L6_drivers.invitation_mail import SqlInvitationMail
from hoc.cus.account.wiring import postgres_engines
from hoc.database import Database

PEOPLE = 10
WALKERS = 6
STEPS = 50
MANY = 100_000
OPTIONS = Options(invitation_limits=InvitationLimits(MANY, MANY), special_use_domains=True)
FILTERS = [(status, delivery) for status in (None, *InvitationStatus) for delivery in (None, *MailDelivery)]
SOME = "SELECT invitation_id FROM account.invitations WHERE tenant_id = :tenant ORDER BY random() LIMIT 1"
EXPIRE = """
    UPDATE account.invitations SET expires_at = now() - interval '1 s'
    WHERE tenant_id = :tenant AND invitation_id = :invitation"""


@dataclass(slots=True)
class Walk:
    """Random changes of one tenant's invitations."""

    database: Database
    engines: Engines
    tenant: str
    owner: str
    people: list[str]
    chance: random.Random

    async def go(self) -> None:
        changes = (
            *(self.invite, self.invite_many, self.resend, self.revoke, self.link, self.accept, self.decline),
            *(self.leave, self.expire),
        )
        steps: list[Any] = [
            *(partial(self.database.transact, change) for change in changes),
            *(self.settle, self.settle, self.settle),
        ]
        for _ in range(STEPS):
            try:
                await self.chance.choice(steps)()
            except AccountsError:
                continue

    async def invite(self, session: AsyncConnection) -> object:
        return await self.engines.invitations.invite(session, self.tenant, self.owner, email=self.address())

    async def invite_many(self, session: AsyncConnection) -> object:
        invitees = [Invitee(self.address(), "member") for _ in range(3)]
        return await self.engines.invitations.invite_many(session, self.tenant, self.owner, invitees)

    async def resend(self, session: AsyncConnection) -> object:
        return await self.engines.invitations.resend(
            session, self.tenant, self.owner, await self.some(session)
        )

    async def revoke(self, session: AsyncConnection) -> object:
        return await self.engines.invitations.revoke(
            session, self.tenant, self.owner, await self.some(session)
        )

    async def link(self, session: AsyncConnection) -> object:
        return await self.engines.invitations.link(session, self.tenant, self.owner, await self.some(session))

    async def accept(self, session: AsyncConnection) -> object:
        person, invitation = await self.received(session)
        return await self.engines.acceptances.accept_received(session, person, self.tenant, invitation)

    async def decline(self, session: AsyncConnection) -> object:
        person, invitation = await self.received(session)
        return await self.engines.received_invitations.decline_received(
            session, person, self.tenant, invitation
        )

    async def leave(self, session: AsyncConnection) -> object:
        return await self.engines.members.leave(session, self.tenant, self.chance.choice(self.people))

    async def expire(self, session: AsyncConnection) -> object:
        values = {"tenant": self.tenant, "invitation": await self.some(session)}
        return await session.execute(text(EXPIRE), values)

    async def settle(self) -> None:
        """What couriers do with mails, also with those of invitations that were closed meanwhile."""
        now, mails = utc_now(), SqlInvitationMail()
        claimed = await self.database.transact(partial(mails.claim, now=now, lease_until=now, batch=2))
        for mail in claimed:
            outcomes = (
                partial(mails.finish, mail=mail, now=now),
                partial(mails.fail, mail=mail, reason="why", now=now),
                partial(mails.postpone, mail=mail, due_at=now, now=now),
                partial(mails.drop, mail=mail, now=now),
            )
            await self.database.transact(self.chance.choice(outcomes))

    async def received(self, session: AsyncConnection) -> tuple[str, str]:
        """Somebody, and an invitation that somebody has received."""
        person = self.chance.choice(self.people)
        listed = await self.engines.received_invitations.list(session, person)
        found = [each.id for each in listed.value.invitations]
        return person, self.chance.choice(found) if found else "none"

    async def some(self, session: AsyncConnection) -> str:
        return str(await session.scalar(text(SOME), {"tenant": self.tenant}))

    def address(self) -> str:
        return f"{self.chance.choice(self.people)}@example.com"


async def test_what_is_kept_is_what_a_count_gives(fresh_database: Database) -> None:
    owner, *people = await add_users(fresh_database, 1 + PEOPLE)
    [tenant] = await add_tenants(fresh_database, 1, {owner: "owner"}, seats=MANY)
    engines = postgres_engines(OPTIONS)
    await asyncio.gather(
        *(
            Walk(fresh_database, engines, tenant, owner, people, random.Random(number)).go()
            for number in range(WALKERS)
        )
    )
    assert await damage(fresh_database) == []
    await expire_one_of_two(fresh_database, tenant, owner)
    listed = await everything(fresh_database, tenant, owner)
    assert {each.status for each in listed} == {*InvitationStatus}
    for status, delivery in FILTERS:
        found = [
            each for each in listed if status in {None, each.status} and delivery in {None, each.delivery}
        ]
        page = await page_of(fresh_database, tenant, owner, status=status, delivery=delivery)
        assert (status, delivery, page.value.total) == (status, delivery, len(found))


async def test_an_expired_one_is_revoked_as_it_is_replaced(fresh_database: Database) -> None:
    owner, person = await add_users(fresh_database, 2)
    [tenant] = await add_tenants(fresh_database, 1, {owner: "owner"})
    invitations, email = postgres_engines(OPTIONS).invitations, f"{person}@example.com"
    async with fresh_database.transaction() as session:
        first = await invitations.invite(session, tenant, owner, email=email)
        await session.execute(text(EXPIRE), {"tenant": tenant, "invitation": first.id})
    async with fresh_database.transaction() as session:
        await invitations.revoke(session, tenant, owner, first.id)
        second = asyncio.create_task(
            fresh_database.transact(
                partial(invitations.invite, tenant_id=tenant, caller_user_id=owner, email=email)
            )
        )
        await until(lambda: scalar(fresh_database, WAITING_FOR_LOCKS))
    assert (await second).status == "pending"
    assert await damage(fresh_database) == []
    listed = await everything(fresh_database, tenant, owner)
    assert [each.status for each in listed] == ["pending", "revoked"]


async def expire_one_of_two(database: Database, tenant: str, owner: str) -> None:
    for number in range(2):
        async with database.transaction() as session:
            invited = await postgres_engines(OPTIONS).invitations.invite(
                session, tenant, owner, email=f"last-{number}@example.com"
            )
            if number:
                await session.execute(text(EXPIRE), {"tenant": tenant, "invitation": invited.id})


async def everything(database: Database, tenant: str, owner: str) -> list[ExtendedInvitationResult]:
    listed: list[ExtendedInvitationResult] = []
    cursor = None
    while True:
        page = await page_of(database, tenant, owner, cursor=cursor)
        listed += page.value.invitations
        cursor = page.next_cursor
        if cursor is None:
            return listed


async def page_of(
    database: Database, tenant: str, owner: str, **asked: Any
) -> Page[ExtendedInvitationListResult]:
    async with database.reading() as session:
        return await postgres_engines(OPTIONS).invitations.list(session, tenant, owner, limit=100, **asked)
