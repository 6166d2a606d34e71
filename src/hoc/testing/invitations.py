"""Invitations, from the invitation to the membership."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.records import (
    Account,
    EmailAddress,
    InvitationLetter,
    InvitationLimits,
    InvitationTerms,
    InviteObstacles,
    NewInvitation,
    Slice,
    SortKey,
    Window,
)
from hoc.cus.account.L5_schemas.results import InvitationResult
from hoc.cus.account.L5_schemas.values import InvitationStatus, Role, TenantStatus
from hoc.testing.database import MemorySession
from hoc.testing.store import MemoryStore, slice_of
from hoc.testing.tables import InvitationRow, MembershipRow, Tables, UserRow


class MemoryInvitations(MemoryStore):
    async def create(
        self,
        session: MemorySession,
        invitation: NewInvitation,
        granters: list[Role],
        limits: InvitationLimits,
    ) -> InvitationResult | None:
        tables = await self.write(session)
        inviter = tables.active_membership(invitation.tenant_id, invitation.invited_by)
        if inviter is None or inviter.role not in granters:
            return None
        if tables.tenants[invitation.tenant_id].status is not TenantStatus.ACTIVE:
            return None
        if _obstacles(tables, invitation, limits) != InviteObstacles(False, False, False, False):
            return None
        _count_mail(tables, invitation)
        expired = _pending_to(tables, invitation)
        if expired is not None:
            del tables.invitations[expired.tenant_id, expired.invitation_id]
        row = InvitationRow(
            tenant_id=invitation.tenant_id,
            invitation_id=invitation.invitation_id,
            email=invitation.email,
            email_key=invitation.email_key,
            role=invitation.role,
            status=InvitationStatus.PENDING,
            invited_by=invitation.invited_by,
            created_at=invitation.created_at,
            expires_at=invitation.expires_at,
        )
        return _stored(tables, row)

    async def obstacles(
        self, session: MemorySession, invitation: NewInvitation, limits: InvitationLimits
    ) -> InviteObstacles:
        return _obstacles(self.read(session), invitation, limits)

    async def page(
        self,
        session: MemorySession,
        tenant_id: str,
        window: Window,
        *,
        status: InvitationStatus | None,
        now: datetime,
    ) -> Slice[InvitationResult]:
        shown = (
            _result(replace(row, status=InvitationStatus.EXPIRED) if _has_expired(row, now) else row)
            for (owner_id, _), row in self.read(session).invitations.items()
            if owner_id == tenant_id
        )
        return slice_of(
            ((SortKey(row.created_at, row.id), row) for row in shown if status in {None, row.status}),
            window,
            newest_first=True,
        )

    async def lock(
        self, session: MemorySession, tenant_id: str, invitation_id: str
    ) -> InvitationTerms | None:
        tables = await self.write(session)
        row = tables.invitations.get((tenant_id, invitation_id))
        if row is None:
            return None
        inviter = tables.active_membership(tenant_id, row.invited_by)
        return InvitationTerms(
            tenant_id=tenant_id,
            tenant_status=tables.tenants[tenant_id].status,
            invitation_id=invitation_id,
            email=row.email,
            email_key=row.email_key,
            role=row.role,
            status=row.status,
            invited_by=row.invited_by,
            inviter_role=None if inviter is None else inviter.role,
            expires_at=row.expires_at,
            token_hash=row.token_hash,
            accepted_user_id=row.accepted_user_id,
        )

    async def reissue(
        self, session: MemorySession, invitation: NewInvitation, limits: InvitationLimits
    ) -> InvitationResult | None:
        tables = await self.write(session)
        row = tables.invitations.get((invitation.tenant_id, invitation.invitation_id))
        obstacles = _obstacles(tables, invitation, limits)
        if row is None or replace(obstacles, already_member=False) != InviteObstacles(
            False, False, False, False
        ):
            return None
        _count_mail(tables, invitation)
        renewed = replace(
            row,
            status=InvitationStatus.PENDING,
            token_hash=None,
            invited_by=invitation.invited_by,
            expires_at=invitation.expires_at,
        )
        return _stored(tables, renewed)

    async def revoke(
        self,
        session: MemorySession,
        tenant_id: str,
        invitation_id: str,
        now: datetime,  # noqa: ARG002 - updated_at is not kept
    ) -> InvitationResult | None:
        tables = await self.write(session)
        row = tables.invitations.get((tenant_id, invitation_id))
        if row is None:
            return None
        return _stored(tables, replace(row, status=InvitationStatus.REVOKED, token_hash=None))

    async def account_by_email(self, session: MemorySession, email_key: str) -> Account | None:
        user = (await self.write(session)).account_by_email(email_key)
        return None if user is None else Account(user.user_id, user.email_verified)

    async def create_account(
        self, session: MemorySession, user_id: str, address: EmailAddress, now: datetime
    ) -> bool:
        tables = await self.write(session)
        if user_id in tables.users or tables.account_by_email(address.key) is not None:
            return False
        tables.users[user_id] = UserRow(
            user_id,
            address.given,
            address.key,
            name=None,
            email_verified=True,
            created_at=now,
            updated_at=now,
        )
        return True

    async def add_member(
        self, session: MemorySession, terms: InvitationTerms, user_id: str, now: datetime
    ) -> None:
        tables = await self.write(session)
        row = tables.invitations[terms.tenant_id, terms.invitation_id]
        if row.status != InvitationStatus.PENDING:
            return
        _stored(tables, replace(row, status=InvitationStatus.ACCEPTED, accepted_user_id=user_id))
        tables.memberships.setdefault(
            (terms.tenant_id, user_id),
            MembershipRow(terms.tenant_id, user_id, row.role, row.invited_by, joined_at=now, updated_at=now),
        )

    async def draw(
        self,
        session: MemorySession,
        tenant_id: str,
        invitation_id: str,
        *,
        token_hash: bytes,
        now: datetime,
    ) -> InvitationLetter | None:
        tables = await self.write(session)
        row = tables.invitations.get((tenant_id, invitation_id))
        if row is None or row.status != InvitationStatus.PENDING or row.expires_at <= now:
            return None
        _stored(tables, replace(row, token_hash=token_hash))
        inviter = tables.users.get(row.invited_by)
        return InvitationLetter(
            tenant_id=tenant_id,
            invitation_id=invitation_id,
            email=row.email,
            role=row.role,
            tenant_name=tables.tenants[tenant_id].name,
            inviter_name=None if inviter is None else inviter.name,
            expires_at=row.expires_at,
        )


def _obstacles(tables: Tables, invitation: NewInvitation, limits: InvitationLimits) -> InviteObstacles:
    account = tables.account_by_email(invitation.email_key)
    pending = _pending_to(tables, invitation)
    day = invitation.created_at.date()
    return InviteObstacles(
        already_member=account is not None
        and tables.active_membership(invitation.tenant_id, account.user_id) is not None,
        already_pending=pending is not None and not _has_expired(pending, invitation.created_at),
        tenant_limit_reached=tables.tenant_mails.get((invitation.tenant_id, day), 0)
        >= limits.per_tenant_per_day,
        recipient_limit_reached=tables.recipient_mails.get((invitation.email_key, day), 0)
        >= limits.per_recipient_per_day,
    )


def _pending_to(tables: Tables, invitation: NewInvitation) -> InvitationRow | None:
    """Another invitation of the same address by the same tenant that is pending, expired or not."""
    return next(
        (
            row
            for (tenant_id, invitation_id), row in tables.invitations.items()
            if (tenant_id, row.email_key) == (invitation.tenant_id, invitation.email_key)
            and invitation_id != invitation.invitation_id
            and row.status == InvitationStatus.PENDING
        ),
        None,
    )


def _count_mail(tables: Tables, invitation: NewInvitation) -> None:
    day = invitation.created_at.date()
    for mails, key in (
        (tables.tenant_mails, (invitation.tenant_id, day)),
        (tables.recipient_mails, (invitation.email_key, day)),
    ):
        mails[key] = mails.get(key, 0) + 1


def _has_expired(row: InvitationRow, now: datetime) -> bool:
    return row.status == InvitationStatus.PENDING and row.expires_at <= now


def _stored(tables: Tables, row: InvitationRow) -> InvitationResult:
    tables.invitations[row.tenant_id, row.invitation_id] = row
    return _result(row)


def _result(row: InvitationRow) -> InvitationResult:
    return InvitationResult(
        id=row.invitation_id,
        email=row.email,
        role=row.role,
        status=row.status,
        created_at=row.created_at,
        expires_at=row.expires_at,
        invited_by=row.invited_by,
    )
