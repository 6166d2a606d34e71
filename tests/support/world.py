"""The accounts domain of a test, with one interface in memory and on PostgreSQL."""

import itertools
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from sqlalchemy import func, null, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession
from support.identities import PRIMARY_ISSUER
from support.roles import ROLES
from support.seed import add_account

from hoc.cus.account.L5_engines.account_service import MAX_COUNTED, AccountService
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_engines.email_changes import issue_email_token
from hoc.cus.account.L5_engines.engines import Engines
from hoc.cus.account.L5_engines.invitation_mail import issue_token
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.errors import AccountsError, NotFoundError
from hoc.cus.account.L5_schemas.identity import AccountStatusChangeRequest
from hoc.cus.account.L5_schemas.mails import DueMail
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.port_types import Page
from hoc.cus.account.L5_schemas.results import EventResult
from hoc.cus.account.L6_drivers import event_log
from hoc.cus.account.L6_drivers.accounts import AccountRepository
from hoc.cus.account.L6_drivers.email_changes import SqlEmailChanges
from hoc.cus.account.L6_drivers.invitation_mail import SqlInvitationMail
from hoc.cus.account.L6_drivers.tables import events, invitation_mails, leases, metadata, outbox
from hoc.cus.account.wiring import postgres_engines
from hoc.database import Database
from hoc.testing import (
    MemoryDatabase,
    deliver_invitation,
    email_change_token,
    invitation_token,
    memory_engines,
)
from hoc.testing.accounts import MemoryAccounts

T = TypeVar("T")

NOWHERE = "ten_00000000000000000000000000000000"
NOBODY = "usr_00000000000000000000000000000000"

# Numbered or not yet.
EVERY_EVENT = union_all(
    select(*(outbox.c[name] for name in event_log.COLUMNS), null().label("sequence")),
    select(*(events.c[name] for name in event_log.COLUMNS), events.c.sequence),
).subquery("every_event")


class FakeClock:
    """A clock that stands still until it is moved, or goes ``step`` further each time it is read."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 14, 10, 0, tzinfo=UTC)
        self.step = timedelta()

    def __call__(self) -> datetime:
        now = self.now
        self.now += self.step
        return now

    def advance(self, **by: float) -> None:
        """Move on, by the arguments of a timedelta."""
        self.now += timedelta(**by)


class RealClock(FakeClock):
    """The time of day. ``now`` is when the clock was last read."""

    def __call__(self) -> datetime:
        self.now = utc_now()
        return self.now


@dataclass(frozen=True, slots=True)
class Team:
    """A tenant with one member of each role; the owner is its only one."""

    tenant_id: str
    owner: str
    admin: str
    member: str
    viewer: str

    @property
    def everybody(self) -> tuple[str, ...]:
        return self.owner, self.admin, self.member, self.viewer


class World(ABC):
    """Engines and facade with a test's clock, sessions, and helpers beyond the domain."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.engines = self.engines_with(Options())
        self.facade = AccountsFacade(self.engines)
        self.accounts = self.accounts_with()
        self._numbers = itertools.count(1)
        self._name = uuid.uuid4().hex[:12]

    @abstractmethod
    def engines_with(self, options: Options) -> Engines:
        """The engines under other options."""

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """A session that commits at the end."""

    @abstractmethod
    def reading(self) -> AbstractAsyncContextManager[Any]:
        """A session for reads."""

    @abstractmethod
    def session(self) -> AbstractAsyncContextManager[Any]:
        """A session to commit or roll back oneself."""

    @abstractmethod
    async def add_user(self, email: str | None = None, *, email_verified: bool = True) -> str:
        """Store an active account and return its id."""

    @abstractmethod
    def accounts_with(
        self, *, max_counted: int = MAX_COUNTED, primary_issuer: str | None = PRIMARY_ISSUER
    ) -> AccountService:
        """The identity service, counting a search term's matches so far."""

    @abstractmethod
    async def draw(self, session: Any, tenant_id: str, invitation_id: str) -> str:
        """The token that the invitation's mail carries."""

    @abstractmethod
    async def settle_mail(
        self, session: Any, tenant_id: str, invitation_id: str, *, delayed: bool = False, failure: str = ""
    ) -> None:
        """Say what became of an invitation's mail, as the courier does, if one is queued. Default: sent."""

    @abstractmethod
    async def held_leases(self, session: Any, tenant_id: str) -> object:
        """The tenant's leases."""

    @abstractmethod
    async def expire_leases(self, tenant_id: str) -> None:
        """Have all the tenant's leases that can expire be past their time."""

    @abstractmethod
    async def draw_email_token(self, user_id: str) -> str | None:
        """The token in the mail that confirms the pending change of an account's address."""

    @abstractmethod
    async def events(self, *, tenant_id: str | None = None, user_id: str | None = None) -> list[EventResult]:
        """The committed events of a tenant, of a user, or of both together; oldest first."""

    @abstractmethod
    async def rows(self) -> dict[tuple[object, ...], dict[str, Any]]:
        """Every committed row as a dict of its columns, by its table and key."""

    async def deactivate(self, user_id: str, *, deleted: bool = False) -> None:
        """Deactivate, or delete, an account."""
        if deleted:
            await self.accounts.delete_account(user_id)
        else:
            await self.accounts.change_account_status(user_id, AccountStatusChangeRequest(is_active=False))

    def new_email(self) -> str:
        return f"person-{next(self._numbers)}-{self._name}@example.com"

    def new_id(self) -> str:
        return f"usr_{self._name}{next(self._numbers):04}"

    async def tenant(self, owner: str | None = None, *, seats: int | None = None) -> tuple[str, str]:
        """A new tenant, with this quota of members; returns its id and its owner's."""
        user_id = owner or await self.add_user()
        projects = self.engines.projects
        async with self.transaction() as session:
            created = await projects.create(session, user_id, name=f"Tenant {self._name}")
            tenant_id = created.value.project_id
            if seats is not None:
                await projects.override_quotas(session, tenant_id, max_members=seats)
        return tenant_id, user_id

    async def join(
        self,
        tenant_id: str,
        inviter: Any,
        role: Any = "member",
        *,
        user_id: str | None = None,
        email: str | None = None,
    ) -> str:
        """Add a member by invitation and return the account's id."""
        address = email or self.new_email()
        joining = user_id or await self.add_user(address)
        async with self.transaction() as session:
            invitations = self.engines.invitations
            acceptances = self.engines.acceptances
            invited = await invitations.invite(session, tenant_id, inviter, email=address, role=role)
            token = await self.draw(session, tenant_id, invited.id)
            await acceptances.accept(session, invited.id, token)
        return joining

    async def team(self, *, seats: int | None = None) -> Team:
        tenant_id, owner = await self.tenant(seats=seats)
        joined = [await self.join(tenant_id, owner, role) for role in ROLES[1:]]
        return Team(tenant_id, owner, *joined)

    async def invite(
        self, tenant_id: str, inviter: Any, email: str | None = None, role: Any = "member"
    ) -> tuple[str, str]:
        """A pending invitation whose mail is out; returns its id and token."""
        async with self.transaction() as session:
            invited = await self.engines.invitations.invite(
                session, tenant_id, inviter, email=email or self.new_email(), role=role
            )
            return invited.id, await self.draw(session, tenant_id, invited.id)

    async def suspend(self, tenant_id: str, status: Any = "suspended") -> None:
        async with self.transaction() as session:
            await self.engines.projects.change_status(session, tenant_id, status)

    async def role_of(self, tenant_id: str, user_id: str) -> str | None:
        async with self.reading() as session:
            found = await self.engines.members.get_user(session, tenant_id, user_id)
        return None if found is None else str(found.value.role)

    async def snapshot(self, session: Any, tenant_id: str, user_ids: tuple[str, ...]) -> dict[str, Any]:
        """All that can be read of a tenant and some users."""
        facade, engines = self.facade, self.engines
        owner = user_ids[0]
        return {
            "project": await engines.projects.get(session, tenant_id, tenant_id),
            "users": await facade.list_users(session, tenant_id),
            "inactive": await facade.list_users(session, tenant_id, status="inactive"),
            "details": [await engines.members.get_user(session, tenant_id, user) for user in user_ids],
            "profiles": [await facade.get_profile(session, tenant_id, user) for user in user_ids],
            "memberships": [await engines.members.list_memberships(session, user) for user in user_ids],
            "received": [await engines.received_invitations.list(session, user) for user in user_ids],
            "billing": await facade.get_billing_summary(session, tenant_id),
            "invoices": await facade.get_billing_invoices(session, tenant_id),
            "tickets": await facade.list_support_tickets(session, tenant_id),
            "leases": await self.held_leases(session, tenant_id),
            "invitations": await facade.list_invitations(session, tenant_id, owner),
            "domains": await outcome(engines.domains.list(session, tenant_id, owner)),
            "requests": await outcome(engines.joining.list_requests(session, tenant_id, owner)),
            "refused": await outcome(
                engines.joining.list_requests(session, tenant_id, owner, status="refused")
            ),
            "scim_tokens": await outcome(engines.scim_tokens.list(session, tenant_id, owner)),
            "scim_group_roles": await outcome(engines.scim_group_roles.list(session, tenant_id, owner)),
            "webhooks": await outcome(engines.webhooks.list(session, tenant_id, owner)),
            "transfer": await outcome(engines.ownership.get(session, tenant_id, owner)),
        }


class MemoryWorld(World):
    def __init__(self) -> None:
        self.database = MemoryDatabase()
        super().__init__()

    def engines_with(self, options: Options) -> Engines:
        return memory_engines(self.database, options=options, clock=self.clock)

    def accounts_with(
        self, *, max_counted: int = MAX_COUNTED, primary_issuer: str | None = PRIMARY_ISSUER
    ) -> AccountService:
        return AccountService(
            MemoryAccounts(self.database),
            primary_issuer=primary_issuer,
            clock=self.clock,
            max_counted=max_counted,
        )

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        return self.database.transaction()

    def reading(self) -> AbstractAsyncContextManager[Any]:
        return self.database.reading()

    def session(self) -> AbstractAsyncContextManager[Any]:
        return self.database.session()

    async def add_user(self, email: str | None = None, *, email_verified: bool = True) -> str:
        return await self.database.add_user(
            self.new_id(), email or self.new_email(), email_verified=email_verified, clock=self.clock
        )

    async def draw(self, session: Any, tenant_id: str, invitation_id: str) -> str:
        return await invitation_token(session, tenant_id, invitation_id, clock=self.clock)

    async def settle_mail(
        self, session: Any, tenant_id: str, invitation_id: str, *, delayed: bool = False, failure: str = ""
    ) -> None:
        with suppress(NotFoundError):
            await deliver_invitation(
                session,
                tenant_id,
                invitation_id,
                delayed=delayed,
                failure=failure or None,
                clock=self.clock,
            )

    async def held_leases(self, session: Any, tenant_id: str) -> object:
        return {key: lease for key, lease in session.visible().leases.items() if key[0] == tenant_id}

    async def expire_leases(self, tenant_id: str) -> None:
        async with self.transaction() as session:
            held = (await session.writable()).leases
            for key, lease in held.items():
                if key[0] == tenant_id and lease.expires_at is not None:
                    held[key] = replace(lease, expires_at=utc_now())

    async def draw_email_token(self, user_id: str) -> str | None:
        async with self.transaction() as session:
            try:
                return await email_change_token(session, user_id, clock=self.clock)
            except NotFoundError:
                return None

    async def events(self, *, tenant_id: str | None = None, user_id: str | None = None) -> list[EventResult]:
        return [
            event
            for event in self.database.events()
            if tenant_id in {None, event.tenant_id} and user_id in {None, event.user_id}
        ]

    async def rows(self) -> dict[tuple[object, ...], dict[str, Any]]:
        committed = self.database.committed()
        tables: dict[str, Any] = {table.name: getattr(committed, table.name) for table in fields(committed)}
        tables["events"] = dict(enumerate(committed.events))
        return {(name, key): _columns_of(row) for name, rows in tables.items() for key, row in rows.items()}


def _columns_of(row: object) -> dict[str, Any]:
    """A dataclass as a dict, with the fields of the dataclasses in it."""
    if not is_dataclass(row):
        return {"value": row}
    columns = {field.name: getattr(row, field.name) for field in fields(row)}
    for name in [name for name, value in columns.items() if is_dataclass(value)]:
        columns |= _columns_of(columns.pop(name))
    return columns


class PostgresWorld(World):
    def __init__(self, database: Database, clock: FakeClock | None = None) -> None:
        self.database = database
        super().__init__(clock)

    def engines_with(self, options: Options) -> Engines:
        return postgres_engines(options, clock=self.clock)

    def accounts_with(
        self, *, max_counted: int = MAX_COUNTED, primary_issuer: str | None = PRIMARY_ISSUER
    ) -> AccountService:
        return AccountService(
            AccountRepository(self.database),
            primary_issuer=primary_issuer,
            clock=self.clock,
            max_counted=max_counted,
        )

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        return self.database.transaction()

    def reading(self) -> AbstractAsyncContextManager[Any]:
        return self.database.reading()

    def session(self) -> AbstractAsyncContextManager[Any]:
        return AsyncSession(self.database.engine)

    async def add_user(self, email: str | None = None, *, email_verified: bool = True) -> str:
        user_id, address = self.new_id(), email or self.new_email()
        async with self.transaction() as session:
            await add_account(session, user_id, address, email_verified=email_verified, now=self.clock())
        return user_id

    async def draw(self, session: Any, tenant_id: str, invitation_id: str) -> str:
        drawn = await issue_token(SqlInvitationMail(), session, tenant_id, invitation_id, now=self.clock())
        assert drawn is not None
        return drawn[1]

    async def settle_mail(
        self, session: Any, tenant_id: str, invitation_id: str, *, delayed: bool = False, failure: str = ""
    ) -> None:
        queued = select(invitation_mails).where(
            invitation_mails.c.tenant_id == tenant_id, invitation_mails.c.invitation_id == invitation_id
        )
        row = (await session.execute(queued)).one_or_none()
        if row is None:
            return
        mails, mail = SqlInvitationMail(), DueMail(row.mail_id, tenant_id, invitation_id, 1)
        if delayed:
            await mails.postpone(session, mail, self.clock.now, self.clock())
        elif failure:
            await mails.fail(session, mail, failure, self.clock())
        else:
            await mails.finish(session, mail, self.clock())

    async def held_leases(self, session: Any, tenant_id: str) -> object:
        of_tenant = select(leases).where(leases.c.tenant_id == tenant_id).order_by(*leases.primary_key)
        return (await session.execute(of_tenant)).all()

    async def expire_leases(self, tenant_id: str) -> None:
        can_expire = leases.c.expires_at.is_not(None)
        async with self.transaction() as session:
            await session.execute(
                update(leases)
                .where(leases.c.tenant_id == tenant_id, can_expire)
                .values(expires_at=func.now())
            )

    async def draw_email_token(self, user_id: str) -> str | None:
        async with self.transaction() as session:
            drawn = await issue_email_token(SqlEmailChanges(), session, user_id, now=self.clock())
        return None if drawn is None else drawn[1]

    async def events(self, *, tenant_id: str | None = None, user_id: str | None = None) -> list[EventResult]:
        wanted = select(EVERY_EVENT).order_by(EVERY_EVENT.c.position)
        if tenant_id is not None:
            wanted = wanted.where(EVERY_EVENT.c.tenant_id == tenant_id)
        if user_id is not None:
            wanted = wanted.where(EVERY_EVENT.c.user_id == user_id)
        async with self.database.reading() as session:
            return [event_log.event_of(row) for row in await session.execute(wanted)]

    async def rows(self) -> dict[tuple[object, ...], dict[str, Any]]:
        stored: dict[tuple[object, ...], dict[str, Any]] = {}
        async with self.database.transaction() as session:
            for table in metadata.tables.values():
                for row in (await session.execute(select(table))).mappings():
                    key = [row[column.name] for column in table.primary_key]
                    stored[table.name, *key] = dict(row)
        return stored


async def refusal(operation: Awaitable[object]) -> tuple[type[AccountsError], str, str]:
    """Require a refusal. Returns everything that the caller learns."""
    with pytest.raises(AccountsError) as caught:
        await operation
    return type(caught.value), caught.value.error, caught.value.message


async def outcome(operation: Awaitable[T]) -> T | tuple[type[AccountsError], str]:
    """The result, or the refusal's class and code."""
    try:
        return await operation
    except AccountsError as problem:
        return type(problem), problem.error


async def walk(fetch: Callable[..., Awaitable[Page[T]]]) -> list[T]:
    """Every page of a list, by cursor."""
    pages = [await fetch()]
    while pages[-1].next_cursor is not None:
        assert len(pages) < 100, "the walk does not end"
        pages.append(await fetch(cursor=pages[-1].next_cursor))
    return [page.value for page in pages]
