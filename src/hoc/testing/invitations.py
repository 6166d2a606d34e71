"""Invitations, and the memberships that they become."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.events import (
    InvitationAcceptedEventData,
    InvitationCreatedEventData,
    InvitationLinkIssuedEventData,
    InvitationResentEventData,
    InvitationRevokedEventData,
    InvitationRoleChangedEventData,
    MemberJoinedEventData,
)
from hoc.cus.account.L5_schemas.port_types import (
    InvitationLimits,
    InvitationTerms,
    InviteObstacles,
    NewInvitation,
    Slice,
    SortKey,
    Window,
)
from hoc.cus.account.L5_schemas.results import ExtendedInvitationResult
from hoc.cus.account.L5_schemas.values import InvitationStatus, MailDelivery, Role, TenantStatus
from hoc.testing.database import MemorySession
from hoc.testing.invitation_sending import (
    NO_OBSTACLES,
    count_mail,
    has_expired,
    obstacles_to,
    pending_to,
)
from hoc.testing.rows import InvitationRow, MembershipRow, combine
from hoc.testing.store import MemoryStore, slice_of
from hoc.testing.tables import Tables


class MemoryInvitations(MemoryStore):
    async def create(
        self,
        session: MemorySession,
        invitation: NewInvitation,
        granters: list[Role] | None,
        limits: InvitationLimits,
    ) -> ExtendedInvitationResult | None:
        tables = await self.write(session)
        if not _may_grant(tables, invitation, granters):
            return None
        if obstacles_to(tables, invitation, limits) != NO_OBSTACLES:
            return None
        count_mail(tables, invitation)
        expired = pending_to(tables, invitation)
        if expired is not None:
            del tables.invitations[expired.tenant_id, expired.invitation_id]
        row = combine(InvitationRow, invitation, status=InvitationStatus.PENDING)
        now = invitation.created_at
        event = combine(InvitationCreatedEventData, row)
        tables.record(event, actor=row.invited_by, at=now)
        return _stored(tables, row)

    async def create_each(
        self,
        session: MemorySession,
        invitations: list[tuple[NewInvitation, list[Role]]],
        limits: InvitationLimits,
    ) -> dict[str, ExtendedInvitationResult]:
        created = [await self.create(session, *invitation, limits) for invitation in invitations]
        return {each.id: each for each in created if each is not None}

    async def obstacles(
        self, session: MemorySession, invitation: NewInvitation, limits: InvitationLimits
    ) -> InviteObstacles:
        return obstacles_to(self.read(session), invitation, limits)

    async def obstacles_of_each(
        self, session: MemorySession, invitations: list[NewInvitation], limits: InvitationLimits
    ) -> list[InviteObstacles]:
        return [await self.obstacles(session, invitation, limits) for invitation in invitations]

    async def page(
        self,
        session: MemorySession,
        tenant_id: str,
        window: Window,
        *,
        status: InvitationStatus | None,
        delivery: MailDelivery | None,
        now: datetime,
    ) -> Slice[ExtendedInvitationResult]:
        shown = (
            _shown(row, now)
            for (owner_id, _), row in self.read(session).invitations.items()
            if owner_id == tenant_id
        )
        return slice_of(
            (
                (SortKey(row.created_at, row.id), row)
                for row in shown
                if status in {None, row.status} and delivery in {None, row.delivery}
            ),
            window,
            newest_first=True,
        )

    async def find(
        self, session: MemorySession, tenant_id: str, invitation_id: str, now: datetime
    ) -> ExtendedInvitationResult | None:
        row = self.read(session).invitations.get((tenant_id, invitation_id))
        return None if row is None else _shown(row, now)

    async def lock(
        self, session: MemorySession, tenant_id: str, invitation_id: str
    ) -> InvitationTerms | None:
        tables = await self.write(session)
        row = tables.invitations.get((tenant_id, invitation_id))
        if row is None:
            return None
        inviter = tables.active_membership(tenant_id, row.invited_by)
        return combine(
            InvitationTerms,
            row,
            tenant_status=tables.tenants[tenant_id].status,
            inviter_role=None if inviter is None else inviter.role,
        )

    async def reissue(
        self,
        session: MemorySession,
        invitation: NewInvitation,
        granters: list[Role],
        limits: InvitationLimits,
    ) -> ExtendedInvitationResult | None:
        tables = await self.write(session)
        if not _may_grant(tables, invitation, granters):
            return None
        row = tables.invitations.get((invitation.tenant_id, invitation.invitation_id))
        obstacles = obstacles_to(tables, invitation, limits)
        if row is None or replace(obstacles, already_member=False) != NO_OBSTACLES:
            return None
        count_mail(tables, invitation)
        renewed = replace(
            row,
            status=InvitationStatus.PENDING,
            token_hash=None,
            invited_by=invitation.invited_by,
            expires_at=invitation.expires_at,
            delivery=invitation.delivery,
            delivery_error=None,
        )
        now = invitation.created_at
        event = combine(InvitationResentEventData, renewed, resent_at=now)
        tables.record(event, actor=renewed.invited_by, at=now)
        return _stored(tables, renewed)

    async def revoke(
        self,
        session: MemorySession,
        tenant_id: str,
        invitation_id: str,
        now: datetime,
        *,
        actor: str,
    ) -> ExtendedInvitationResult | None:
        tables = await self.write(session)
        row = tables.invitations.get((tenant_id, invitation_id))
        if row is None:
            return None
        if row.status == InvitationStatus.REVOKED:
            return _result(row)
        event = InvitationRevokedEventData(tenant_id, invitation_id, row.email, row.role, revoked_at=now)
        tables.record(event, actor=actor, at=now)
        return _stored(tables, replace(row, status=InvitationStatus.REVOKED, token_hash=None))

    async def set_role(
        self,
        session: MemorySession,
        tenant_id: str,
        invitation_id: str,
        role: Role,
        now: datetime,
        *,
        actor: str,
    ) -> None:
        tables = await self.write(session)
        row = tables.invitations[tenant_id, invitation_id]
        if row.status != InvitationStatus.PENDING or row.role is role:
            return
        _stored(tables, replace(row, role=role))
        event = InvitationRoleChangedEventData(tenant_id, invitation_id, role, row.role, changed_at=now)
        tables.record(event, actor=actor, at=now)

    async def hold_tenant(self, session: MemorySession, tenant_id: str) -> TenantStatus | None:
        tenant = (await self.write(session)).tenants.get(tenant_id)
        return None if tenant is None else tenant.status

    async def hand_out(
        self,
        session: MemorySession,
        tenant_id: str,
        invitation_id: str,
        *,
        token_hash: bytes,
        now: datetime,
        actor: str,
    ) -> None:
        tables = await self.write(session)
        row = tables.invitations[tenant_id, invitation_id]
        _stored(tables, replace(row, token_hash=token_hash, delivery=None, delivery_error=None))
        event = combine(InvitationLinkIssuedEventData, row, issued_by=actor, issued_at=now)
        tables.record(event, actor=actor, at=now)

    async def add_member(
        self, session: MemorySession, terms: InvitationTerms, user_id: str, now: datetime
    ) -> None:
        tables = await self.write(session)
        row = tables.invitations[terms.tenant_id, terms.invitation_id]
        if row.status != InvitationStatus.PENDING:
            return
        _stored(tables, replace(row, status=InvitationStatus.ACCEPTED, accepted_user_id=user_id))
        tenant_id, key = terms.tenant_id, (terms.tenant_id, user_id)
        accepted = InvitationAcceptedEventData(
            tenant_id, row.invitation_id, user_id, row.role, accepted_at=now
        )
        tables.record(accepted, actor=user_id, at=now)
        tables.join_requests.pop(key, None)
        if key in tables.memberships:
            return
        tables.memberships[key] = MembershipRow(
            tenant_id, user_id, row.role, row.invited_by, joined_at=now, updated_at=now
        )
        joined = MemberJoinedEventData(tenant_id, user_id, row.role, row.invited_by, joined_at=now)
        tables.record(joined, actor=user_id, at=now)


def _may_grant(tables: Tables, invitation: NewInvitation, granters: list[Role] | None) -> bool:
    """Whether the tenant is active, and the inviter a member in one of these roles, or its directory."""
    inviter = tables.active_membership(invitation.tenant_id, invitation.invited_by)
    is_granter = granters is None or (inviter is not None and inviter.role in granters)
    return is_granter and tables.tenants[invitation.tenant_id].status is TenantStatus.ACTIVE


def _shown(row: InvitationRow, now: datetime) -> ExtendedInvitationResult:
    return _result(replace(row, status=InvitationStatus.EXPIRED) if has_expired(row, now) else row)


def _stored(tables: Tables, row: InvitationRow) -> ExtendedInvitationResult:
    tables.invitations[row.tenant_id, row.invitation_id] = row
    return _result(row)


def _result(row: InvitationRow) -> ExtendedInvitationResult:
    return combine(ExtendedInvitationResult, row, id=row.invitation_id)
