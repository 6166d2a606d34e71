"""Erasing a person or a tenant in memory."""

from dataclasses import fields, replace
from datetime import datetime
from typing import Any, cast

import orjson

from hoc.cus.account.L5_schemas.erasure import ErasedTenant, ErasedUser, LockedPerson, LockedTenant
from hoc.cus.account.L5_schemas.events import (
    EVENTS,
    Blanked,
    InvitationRevokedEventData,
    MemberRemovedEventData,
    TenantErasedEventData,
    TenantTransferCanceledEventData,
    UserDeletedEventData,
    UserErasedEventData,
    blanked_fields,
)
from hoc.cus.account.L5_schemas.values import InvitationStatus, TenantStatus
from hoc.testing.database import MemorySession
from hoc.testing.rows import EventRow, InvitationRow, TenantRow, UserRow
from hoc.testing.store import MemoryStore
from hoc.testing.tables import Tables


class MemoryUserErasure(MemoryStore):
    async def lock(self, session: MemorySession, user_id: str) -> LockedPerson | None:
        tables = await self.write(session)
        user = tables.users.get(user_id)
        if user is None:
            return None
        return LockedPerson(user_id, user.deleted_at, user.erased_at, tables.only_owner_of(user))

    async def erase(self, session: MemorySession, user_id: str, now: datetime, *, actor: str | None) -> None:
        tables = await self.write(session)
        user = tables.users[user_id]
        invited = _invitations_of(tables, user)
        _blank_events(tables, user_id, {row.invitation_id for row in invited})
        _end_memberships(tables, user_id, now, actor)
        for row in invited:
            _empty_invitation(tables, row, now, actor)
        _empty_tickets(tables, user_id)
        _drop_directory_users(tables, user)
        _drop(tables, user)
        if user.erased_at is not None:
            return
        tables.users[user_id] = UserRow(
            user_id,
            email="",
            email_key=None,
            name=None,
            email_verified=False,
            created_at=user.created_at,
            updated_at=now,
            is_active=False,
            deleted_at=user.deleted_at or now,
            erased_at=now,
            has_generated_id=user.has_generated_id,
            is_claimed=user.is_claimed,
            version=user.version + 1,
        )
        if user.deleted_at is None:
            tables.record(UserDeletedEventData(user_id, None, None, deleted_at=now), actor=actor, at=now)
        tables.record(UserErasedEventData(user_id, erased_at=now), actor=actor, at=now)

    async def erased(self, session: MemorySession) -> list[ErasedUser]:
        found = [
            ErasedUser(user.user_id, user.erased_at)
            for user in self.read(session).users.values()
            if user.erased_at is not None
        ]
        return sorted(found, key=lambda each: (each.erased_at, each.user_id))


class MemoryTenantErasure(MemoryStore):
    async def lock(self, session: MemorySession, tenant_id: str) -> LockedTenant | None:
        tenant = (await self.write(session)).tenants.get(tenant_id)
        return None if tenant is None else LockedTenant(tenant.status, tenant.erased_at)

    async def erase(
        self, session: MemorySession, tenant_id: str, now: datetime, *, actor: str | None
    ) -> None:
        tables = await self.write(session)
        tenant = tables.tenants[tenant_id]
        for table in fields(tables):
            if table.name not in {"tenants", "events"}:
                rows: dict[Any, object] = getattr(tables, table.name)
                for key in [each for each in rows if tenant_id in _first_of(each)]:
                    del rows[key]
        tables.events = [_blanked(row) if row.tenant_id == tenant_id else row for row in tables.events]
        if tenant.erased_at is not None:
            return
        tables.tenants[tenant_id] = TenantRow(
            tenant_id,
            name="",
            slug="",
            description=None,
            created_at=tenant.created_at,
            updated_at=now,
            status=TenantStatus.ARCHIVED,
            plan=tenant.plan,
            onboarding_state=tenant.onboarding_state,
            quotas=tenant.quotas,
            invitations_only_to_domains=tenant.invitations_only_to_domains,
            erased_at=now,
            version=tenant.version + 1,
        )
        tables.record(TenantErasedEventData(tenant_id, erased_at=now), actor=actor, at=now)

    async def erased(self, session: MemorySession) -> list[ErasedTenant]:
        found = [
            ErasedTenant(tenant.tenant_id, tenant.erased_at)
            for tenant in self.read(session).tenants.values()
            if tenant.erased_at is not None
        ]
        return sorted(found, key=lambda each: (each.erased_at, each.tenant_id))


def _first_of(key: object) -> tuple[object, ...]:
    """A row's own id, or what it belongs to."""
    return cast("tuple[object, ...]", key)[:1] if isinstance(key, tuple) else (key,)


def _invitations_of(tables: Tables, user: UserRow) -> list[InvitationRow]:
    holder = tables.account_by_email(user.email_key)
    key = user.email_key if holder in {None, user} else None
    return [
        row
        for row in tables.invitations.values()
        if row.accepted_user_id == user.user_id or (key is not None and row.email_key == key)
    ]


def _drop_directory_users(tables: Tables, user: UserRow) -> None:
    holder = tables.account_by_email(user.email_key)
    address = user.email_key if holder in {None, user} else None
    for key, row in list(tables.directory_users.items()):
        if row.user_id == user.user_id or (address is not None and row.email_key == address):
            del tables.directory_users[key]


def _blank_events(tables: Tables, user_id: str, invitation_ids: set[str]) -> None:
    tables.events = [
        _blanked(row, Blanked.WITH_PERSON)
        if row.user_id == user_id or orjson.loads(row.payload).get("invitation_id") in invitation_ids
        else row
        for row in tables.events
    ]


def _blanked(row: EventRow, *when: Blanked) -> EventRow:
    gone = blanked_fields(EVENTS[row.type], *when)
    kept = {name: value for name, value in orjson.loads(row.payload).items() if name not in gone}
    return replace(row, payload=orjson.dumps(kept))


def _end_memberships(tables: Tables, user_id: str, now: datetime, actor: str | None) -> None:
    ended = [row for row in tables.memberships.values() if row.user_id == user_id]
    for row in ended:
        del tables.memberships[row.tenant_id, user_id]
        event = MemberRemovedEventData(row.tenant_id, user_id, row.role, removed_at=now)
        tables.record(event, actor=actor, at=now)
        offer = tables.transfers.get(row.tenant_id)
        if offer is not None and user_id in {offer.from_user_id, offer.to_user_id}:
            del tables.transfers[row.tenant_id]
            canceled = TenantTransferCanceledEventData(
                row.tenant_id, offer.from_user_id, offer.to_user_id, canceled_at=now
            )
            tables.record(canceled, actor=actor, at=now, about_user=offer.to_user_id)


def _empty_invitation(tables: Tables, row: InvitationRow, now: datetime, actor: str | None) -> None:
    emptied = replace(
        row,
        email="",
        email_key="",
        token_hash=None,
        delivery_error=None if row.delivery_error is None else "",
    )
    if row.status == InvitationStatus.PENDING:
        emptied = replace(emptied, status=InvitationStatus.REVOKED)
        event = InvitationRevokedEventData(row.tenant_id, row.invitation_id, "", row.role, revoked_at=now)
        tables.record(event, actor=actor, at=now)
    tables.invitations[row.tenant_id, row.invitation_id] = emptied


def _empty_tickets(tables: Tables, user_id: str) -> None:
    for key, ticket in tables.tickets.items():
        if ticket.user_id == user_id:
            tables.tickets[key] = replace(ticket, subject="", description="", resolution=None)
            tables.ticket_mails.pop(key, None)
    for key, row in tables.ticket_replies.items():
        ticket = tables.tickets[row.tenant_id, row.ticket_id]
        if user_id in {ticket.user_id, row.reply.author_id}:
            tables.ticket_replies[key] = replace(row, reply=replace(row.reply, text=""))


def _drop(tables: Tables, user: UserRow) -> None:
    user_id = user.user_id
    change = tables.email_changes.pop(user_id, None)
    keys = {user.email_key, None if change is None else change.email_key}
    for limit in [each for each in tables.recipient_mails if each[0] in keys]:
        del tables.recipient_mails[limit]
    for linked in [subject for subject, row in tables.identities.items() if row.user_id == user_id]:
        del tables.identities[linked]
    for asked in [key for key in tables.join_requests if key[1] == user_id]:
        del tables.join_requests[asked]
    for mail in [key for key in tables.domain_mails if user_id in key]:
        del tables.domain_mails[mail]
    for about_webhook in [key for key in tables.webhook_mails if user_id in key]:
        del tables.webhook_mails[about_webhook]
