"""Invitations until they are accepted."""

from datetime import datetime
from typing import Any

import uuid_utils
from sqlalchemy import LargeBinary, delete, literal, select, update

from hoc.cus.account.L5_schemas.events import (
    InvitationLinkIssuedEventData,
    InvitationRevokedEventData,
    InvitationRoleChangedEventData,
)
from hoc.cus.account.L5_schemas.port_types import (
    InvitationLimits,
    InviteObstacles,
    NewInvitation,
    Slice,
    Window,
)
from hoc.cus.account.L5_schemas.results import ExtendedInvitationResult
from hoc.cus.account.L5_schemas.values import InvitationStatus, MailDelivery, Role
from hoc.cus.account.L6_drivers.execution import (
    AnyRow,
    AnySelect,
    SqlSession,
    fetch_all,
    fetch_each,
    fetch_one,
    param,
)
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT
from hoc.cus.account.L6_drivers.invitation_counts import count_closed
from hoc.cus.account.L6_drivers.invitation_lists import PAGES, SHOWN_STATUS, page_of, with_status
from hoc.cus.account.L6_drivers.invitation_locks import lock_invitation
from hoc.cus.account.L6_drivers.invitation_sending import (
    CREATE,
    CREATE_BY_DIRECTORY,
    INVITATION,
    IS_PENDING,
    LOCK_RECIPIENTS,
    OBSTACLES,
    REISSUE,
    RESULT,
    ROLE,
    THIS,
)
from hoc.cus.account.L6_drivers.outbox import ACTOR, recorded
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import invitation_mails, invitations

FIND = select(*with_status(SHOWN_STATUS)).where(THIS)


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


_result = record_of(
    ExtendedInvitationResult, CREATE, CREATE_BY_DIRECTORY, REISSUE, REVOKE, FIND, *PAGES.values()
)


class SqlInvitations:
    lock = staticmethod(lock_invitation)

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
