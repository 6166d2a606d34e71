"""Invitation mail: the courier's queue, and the token that a mail gets when it is composed."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    LargeBinary,
    String,
    exists,
    null,
    select,
    update,
)

from hoc.cus.account.L5_schemas.events import (
    EventData,
    InvitationDeliveryFailedEventData,
    InvitationMailDelayedEventData,
    InvitationMailSentEventData,
)
from hoc.cus.account.L5_schemas.mails import DueMail, InvitationMailContent
from hoc.cus.account.L5_schemas.values import MailDelivery
from hoc.cus.account.L6_drivers import queued_mails
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import NOW
from hoc.cus.account.L6_drivers.invitation_counts import count_delivered
from hoc.cus.account.L6_drivers.invitation_sending import IS_PENDING, THIS
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.tables import invitation_mails, invitations, tenants, users

MAX_REASON_LENGTH = 255
EXPIRED = "the invitation expired before the mail could be sent"

ISSUE_TOKEN = (
    update(invitations)
    .where(
        THIS,
        IS_PENDING,
        invitations.c.expires_at > NOW,
        invitations.c.delivery.is_not(None),
        tenants.c.tenant_id == invitations.c.tenant_id,
    )
    .values(token_hash=param("token_hash", LargeBinary))
    .returning(
        invitations.c.email,
        invitations.c.role,
        invitations.c.expires_at,
        tenants.c.name.label("tenant_name"),
        select(users.c.name)
        .where(users.c.user_id == invitations.c.invited_by)
        .scalar_subquery()
        .label("inviter_name"),
        select(users.c.locale)
        .where(users.c.email_key == invitations.c.email_key, users.c.deleted_at.is_(None))
        .scalar_subquery()
        .label("locale"),
    )
)

CLAIM = queued_mails.claim(invitation_mails).returning(*invitation_mails.c)
WAITING = queued_mails.postpone(invitation_mails).cte("waiting")
REMOVED = queued_mails.remove(invitation_mails).cte("removed")

# The invitation first, as whoever resends it does: those who lock in one order cannot wait for each other.
HOLD = select(invitations.c.invitation_id).where(THIS).with_for_update(key_share=True)


def _settled(
    mail: CTE,
    delivery: MailDelivery,
    event: type[EventData],
    *conditions: ColumnElement[bool],
    **values: ColumnElement[Any],
) -> AnySelect:
    """Sets what became of the mail whose row ``mail`` is, unless it is so already, and records the event."""
    closed = (
        select(invitations.c.invitation_id, invitations.c.status, invitations.c.delivery)
        .where(THIS, ~IS_PENDING)
        .cte("closed")
    )
    changed = (
        update(invitations)
        .where(
            THIS,
            exists().select_from(mail),
            invitations.c.delivery.is_distinct_from(delivery),
            *conditions,
        )
        .values({"delivery": delivery, "delivery_error": None} | values)
        .returning(
            invitations.c.tenant_id,
            invitations.c.invitation_id,
            invitations.c.email,
            invitations.c.role,
            invitations.c.invited_by,
            invitations.c.delivery,
            invitations.c.delivery_error.label("reason"),
        )
        .cte("changed")
    )
    return select(mail.c.mail_id).add_cte(
        *count_delivered(closed, changed), recorded(event, changed, actor=null())
    )


def _failed(*conditions: ColumnElement[bool]) -> AnySelect:
    return _settled(
        REMOVED,
        MailDelivery.FAILED,
        InvitationDeliveryFailedEventData,
        *conditions,
        delivery_error=param("reason", String),
    )


POSTPONE = _settled(WAITING, MailDelivery.DELAYED, InvitationMailDelayedEventData)
FINISH = _settled(REMOVED, MailDelivery.SENT, InvitationMailSentEventData)
FAIL = _failed()
DROP = _failed(IS_PENDING, invitations.c.expires_at <= NOW)


class SqlInvitationMail:
    async def issue_token(
        self, session: SqlSession, tenant_id: str, invitation_id: str, *, token_hash: bytes, now: datetime
    ) -> InvitationMailContent | None:
        row = await fetch_one(
            session,
            ISSUE_TOKEN,
            tenant_id=tenant_id,
            invitation_id=invitation_id,
            token_hash=token_hash,
            now=now,
        )
        if row is None:
            return None
        return InvitationMailContent(
            tenant_id=tenant_id,
            invitation_id=invitation_id,
            email=row.email,
            role=row.role,
            tenant_name=row.tenant_name,
            inviter_name=row.inviter_name,
            expires_at=row.expires_at,
            locale=row.locale,
        )

    async def claim(
        self, session: SqlSession, *, now: datetime, lease_until: datetime, batch: int
    ) -> list[DueMail]:
        """Claim due mails that no other courier is claiming. They are due again at ``lease_until``."""
        rows = await fetch_all(session, CLAIM, now=now, due_at=lease_until, batch=batch)
        return [DueMail(row.mail_id, row.tenant_id, row.invitation_id, row.attempts) for row in rows]

    async def postpone(self, session: SqlSession, mail: DueMail, due_at: datetime, now: datetime) -> None:
        await self._settle(session, POSTPONE, mail, due_at=due_at, now=now)

    async def finish(self, session: SqlSession, mail: DueMail, now: datetime) -> None:
        """Remove a sent mail from the queue. If its invitation was resent meanwhile, the new mail stays."""
        await self._settle(session, FINISH, mail, now=now)

    async def fail(self, session: SqlSession, mail: DueMail, reason: str, now: datetime) -> None:
        """Remove a mail that cannot be delivered, and say so of its invitation."""
        await self._settle(session, FAIL, mail, reason=reason[:MAX_REASON_LENGTH], now=now)

    async def drop(self, session: SqlSession, mail: DueMail, now: datetime) -> None:
        """Remove a mail of an invitation that has ended. One that expired before has failed."""
        await self._settle(session, DROP, mail, reason=EXPIRED, now=now)

    @staticmethod
    async def _settle(session: SqlSession, statement: AnySelect, mail: DueMail, **values: object) -> None:
        key = {"tenant_id": mail.tenant_id, "invitation_id": mail.invitation_id}
        await fetch_one(session, HOLD, **key)
        await fetch_one(session, statement, **key, mail_id=mail.mail_id, **values)
