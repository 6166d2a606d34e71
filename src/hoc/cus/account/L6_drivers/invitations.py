"""Invitations."""

from datetime import datetime
from typing import Any

import uuid_utils
from sqlalchemy import (
    LargeBinary,
    delete,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.events import (
    InvitationAcceptedEventData,
    InvitationLinkIssuedEventData,
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
    Window,
)
from hoc.cus.account.L5_schemas.results import ExtendedInvitationResult
from hoc.cus.account.L5_schemas.values import InvitationStatus, MailDelivery, Role, TenantStatus
from hoc.cus.account.L6_drivers.execution import (
    AnyRow,
    AnySelect,
    SqlSession,
    fetch_all,
    fetch_each,
    fetch_one,
    param,
)
from hoc.cus.account.L6_drivers.fragments import NOW, REQUEST_ENDED, TENANT, USER
from hoc.cus.account.L6_drivers.invitation_counts import count_closed
from hoc.cus.account.L6_drivers.invitation_lists import PAGES, SHOWN_STATUS, page_of, with_status
from hoc.cus.account.L6_drivers.invitation_sending import (
    CREATE,
    CREATE_BY_DIRECTORY,
    INVITATION,
    INVITED_BY,
    IS_PENDING,
    LOCK_RECIPIENTS,
    OBSTACLES,
    REISSUE,
    RESULT,
    ROLE,
    THIS,
)
from hoc.cus.account.L6_drivers.member_texts import NEW_MEMBER
from hoc.cus.account.L6_drivers.outbox import ACTOR, follows, recorded
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import (
    invitation_mails,
    invitations,
    member_counts,
    memberships,
    tenants,
)

FIND = select(*with_status(SHOWN_STATUS)).where(THIS)

LOCK = (
    select(
        *RESULT,
        invitations.c.tenant_id,
        invitations.c.email_key,
        invitations.c.token_hash,
        invitations.c.accepted_user_id,
    )
    .where(THIS)
    .with_for_update()
)

# Read when the invitation is locked, so that both are as of now.
STANDING = (
    select(tenants.c.status, memberships.c.role)
    .select_from(
        tenants.outerjoin(
            memberships,
            (memberships.c.tenant_id == tenants.c.tenant_id)
            & (memberships.c.user_id == INVITED_BY)
            & memberships.c.is_active,
        )
    )
    .where(tenants.c.tenant_id == TENANT)
)


def _revoke() -> AnySelect:
    revoked = (
        update(invitations)
        .where(THIS, IS_PENDING)
        .values(status=InvitationStatus.REVOKED, token_hash=None, updated_at=NOW)
        .returning(invitations.c.tenant_id, *RESULT)
        .cte("revoked")
    )
    invitation_revoked = recorded(InvitationRevokedEventData, revoked, invitation_id=revoked.c.id)
    status = literal(InvitationStatus.REVOKED.value)
    return select(*with_status(status)).where(THIS).add_cte(*count_closed(revoked), invitation_revoked)


REVOKE = _revoke()


def _set_role() -> AnySelect:
    before = (
        select(invitations.c.tenant_id, invitations.c.invitation_id, invitations.c.role)
        .where(THIS, IS_PENDING, invitations.c.role != ROLE)
        .with_for_update()
        .cte("before")
    )
    changed = (
        update(invitations)
        .where(THIS, invitations.c.invitation_id == before.c.invitation_id)
        .values(role=ROLE, updated_at=NOW)
        .returning(
            invitations.c.tenant_id,
            invitations.c.invitation_id,
            invitations.c.role,
            before.c.role.label("previous_role"),
        )
        .cte("changed")
    )
    return select(changed.c.invitation_id).add_cte(recorded(InvitationRoleChangedEventData, changed))


SET_ROLE = _set_role()

# Nobody gives or takes a seat, or suspends the tenant, until the transaction ends.
HOLD_TENANT = select(tenants.c.status).where(tenants.c.tenant_id == TENANT).with_for_update(read=True)


def _hand_out() -> AnySelect:
    """Gives a pending invitation a token that is not mailed, and takes its mail out of the queue."""
    unqueued = (
        delete(invitation_mails)
        .where(invitation_mails.c.tenant_id == TENANT, invitation_mails.c.invitation_id == INVITATION)
        .cte("unqueued")
    )
    issued = (
        update(invitations)
        .where(THIS, IS_PENDING)
        .values(
            token_hash=param("token_hash", LargeBinary), delivery=None, delivery_error=None, updated_at=NOW
        )
        .returning(
            invitations.c.tenant_id, invitations.c.invitation_id, invitations.c.email, invitations.c.role
        )
        .cte("issued")
    )
    link_issued = recorded(InvitationLinkIssuedEventData, issued, issued_by=ACTOR)
    return select(issued.c.invitation_id).add_cte(unqueued, link_issued)


HAND_OUT = _hand_out()


def _add_member() -> AnySelect:
    accepted = (
        update(invitations)
        .where(THIS, IS_PENDING)
        .values(status=InvitationStatus.ACCEPTED, accepted_at=NOW, updated_at=NOW, accepted_user_id=USER)
        .returning(
            invitations.c.tenant_id,
            invitations.c.invitation_id,
            invitations.c.role,
            invitations.c.invited_by,
            invitations.c.status,
            invitations.c.delivery,
        )
        .cte("accepted")
    )
    joined = (
        insert(memberships)
        .from_select(
            ["tenant_id", "user_id", "searched", "role", "invited_by", "joined_at", "updated_at"],
            select(
                accepted.c.tenant_id,
                *NEW_MEMBER.c,
                accepted.c.role,
                accepted.c.invited_by,
                NOW,
                NOW,
            ).join(NEW_MEMBER, true()),
        )
        .on_conflict_do_nothing()
        .returning(memberships.c.tenant_id, memberships.c.role, memberships.c.invited_by)
        .cte("joined")
    )
    counted = (
        update(member_counts)
        .where(member_counts.c.tenant_id == TENANT, member_counts.c.role == joined.c.role)
        .values(members=member_counts.c.members + 1)
        .cte("counted")
    )
    invitation_accepted = recorded(InvitationAcceptedEventData, accepted, actor=USER, user_id=USER)
    member_joined = recorded(
        MemberJoinedEventData, joined, follows(invitation_accepted), actor=USER, user_id=USER
    )
    return select(accepted.c.role).add_cte(
        joined, counted, *count_closed(accepted), REQUEST_ENDED, invitation_accepted, member_joined
    )


ADD_MEMBER = _add_member()


_result = record_of(
    ExtendedInvitationResult, CREATE, CREATE_BY_DIRECTORY, REISSUE, REVOKE, FIND, *PAGES.values()
)


class SqlInvitations:
    async def create(
        self,
        session: SqlSession,
        invitation: NewInvitation,
        granters: list[Role] | None,
        limits: InvitationLimits,
    ) -> ExtendedInvitationResult | None:
        values = _values(invitation, limits) | {"mail_id": _mail_id()}
        if granters is None:
            row = await fetch_one(session, CREATE_BY_DIRECTORY, **values)
        else:
            row = await fetch_one(session, CREATE, **values, granters=granters)
        return None if row is None else _result(row)

    async def create_each(
        self,
        session: SqlSession,
        invitations: list[tuple[NewInvitation, list[Role]]],
        limits: InvitationLimits,
    ) -> dict[str, ExtendedInvitationResult]:
        values = [
            _values(invitation, limits) | {"mail_id": _mail_id(), "granters": granters}
            for invitation, granters in invitations
        ]
        recipients = [invitation.email_key for invitation, _ in invitations]
        await fetch_all(session, LOCK_RECIPIENTS, email_keys=recipients)
        created = [_result(row) for row in await fetch_each(session, CREATE, values)]
        return {each.id: each for each in created}

    async def obstacles(
        self, session: SqlSession, invitation: NewInvitation, limits: InvitationLimits
    ) -> InviteObstacles:
        [row] = await fetch_all(session, OBSTACLES, **_values(invitation, limits))
        return _obstacles(row)

    async def obstacles_of_each(
        self, session: SqlSession, invitations: list[NewInvitation], limits: InvitationLimits
    ) -> list[InviteObstacles]:
        values = [_values(invitation, limits) for invitation in invitations]
        return [_obstacles(row) for row in await fetch_each(session, OBSTACLES, values)]

    async def page(
        self,
        session: SqlSession,
        tenant_id: str,
        window: Window,
        *,
        status: InvitationStatus | None,
        delivery: MailDelivery | None,
        now: datetime,
    ) -> Slice[ExtendedInvitationResult]:
        paged, values = page_of(status, delivery)
        return await paged.fetch(session, window, _result, tenant_id=tenant_id, now=now, **values)

    async def find(
        self, session: SqlSession, tenant_id: str, invitation_id: str, now: datetime
    ) -> ExtendedInvitationResult | None:
        row = await fetch_one(session, FIND, tenant_id=tenant_id, invitation_id=invitation_id, now=now)
        return None if row is None else _result(row)

    async def hold_tenant(self, session: SqlSession, tenant_id: str) -> TenantStatus | None:
        row = await fetch_one(session, HOLD_TENANT, tenant_id=tenant_id)
        return None if row is None else TenantStatus(row.status)

    async def set_role(
        self,
        session: SqlSession,
        tenant_id: str,
        invitation_id: str,
        role: Role,
        now: datetime,
        *,
        actor: str,
    ) -> None:
        await fetch_one(
            session,
            SET_ROLE,
            tenant_id=tenant_id,
            invitation_id=invitation_id,
            role=role,
            now=now,
            actor=actor,
        )

    async def lock(self, session: SqlSession, tenant_id: str, invitation_id: str) -> InvitationTerms | None:
        row = await fetch_one(session, LOCK, tenant_id=tenant_id, invitation_id=invitation_id)
        if row is None:
            return None
        standing = await fetch_one(session, STANDING, tenant_id=tenant_id, invited_by=row.invited_by)
        return None if standing is None else _terms(row, standing)

    async def reissue(
        self,
        session: SqlSession,
        invitation: NewInvitation,
        granters: list[Role],
        limits: InvitationLimits,
    ) -> ExtendedInvitationResult | None:
        values = _values(invitation, limits) | {"mail_id": _mail_id(), "granters": granters}
        row = await fetch_one(session, REISSUE, **values)
        return None if row is None else _result(row)

    async def revoke(
        self, session: SqlSession, tenant_id: str, invitation_id: str, now: datetime, *, actor: str
    ) -> ExtendedInvitationResult | None:
        row = await fetch_one(
            session, REVOKE, tenant_id=tenant_id, invitation_id=invitation_id, now=now, actor=actor
        )
        return None if row is None else _result(row)

    async def hand_out(
        self,
        session: SqlSession,
        tenant_id: str,
        invitation_id: str,
        *,
        token_hash: bytes,
        now: datetime,
        actor: str,
    ) -> None:
        await fetch_one(
            session,
            HAND_OUT,
            tenant_id=tenant_id,
            invitation_id=invitation_id,
            token_hash=token_hash,
            now=now,
            actor=actor,
        )

    async def add_member(
        self, session: SqlSession, terms: InvitationTerms, user_id: str, now: datetime
    ) -> None:
        await fetch_one(
            session,
            ADD_MEMBER,
            tenant_id=terms.tenant_id,
            invitation_id=terms.invitation_id,
            user_id=user_id,
            now=now,
        )


def _obstacles(row: AnyRow) -> InviteObstacles:
    return InviteObstacles(
        already_member=row.already_member,
        already_pending=row.already_pending,
        outside_domains=row.outside_domains,
        tenant_limit_reached=row.tenant_limit_reached,
        recipient_limit_reached=row.recipient_limit_reached,
        max_members=row.max_members,
    )


def _mail_id() -> str:
    return uuid_utils.uuid7().hex


def _values(invitation: NewInvitation, limits: InvitationLimits) -> dict[str, Any]:
    return {
        "tenant_id": invitation.tenant_id,
        "invitation_id": invitation.invitation_id,
        "email": invitation.email,
        "email_key": invitation.email_key,
        "domain": invitation.domain,
        "role": invitation.role,
        "invited_by": invitation.invited_by,
        "now": invitation.created_at,
        "expires_at": invitation.expires_at,
        "day": invitation.created_at.date(),
        "per_tenant": limits.per_tenant_per_day,
        "per_recipient": limits.per_recipient_per_day,
        "delivery": invitation.delivery,
    }


def _terms(row: AnyRow, standing: AnyRow) -> InvitationTerms:
    return InvitationTerms(
        tenant_id=row.tenant_id,
        tenant_status=TenantStatus(standing.status),
        invitation_id=row.id,
        email=row.email,
        email_key=row.email_key,
        role=Role(row.role),
        status=row.status,
        invited_by=row.invited_by,
        inviter_role=None if standing.role is None else Role(standing.role),
        expires_at=row.expires_at,
        token_hash=row.token_hash,
        accepted_user_id=row.accepted_user_id,
        delivery=row.delivery,
    )
