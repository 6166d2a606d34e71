"""Invitation mail: the courier's queue, and the token that a mail gets when it is composed."""

from datetime import datetime

from sqlalchemy import Integer, LargeBinary, String, delete, select, update
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.port_types import DueMail, InvitationMailContent
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import NOW
from hoc.cus.account.L6_drivers.invitation_sending import IS_PENDING, THIS
from hoc.cus.account.L6_drivers.tables import invitation_mails, invitations, tenants, users

MAIL = param("mail_id", String)
DUE_AT = param("due_at", DateTime(timezone=True))

ISSUE_TOKEN = (
    update(invitations)
    .where(
        THIS,
        IS_PENDING,
        invitations.c.expires_at > NOW,
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
    )
)

_DUE = (
    select(invitation_mails.c.mail_id)
    .where(invitation_mails.c.due_at <= NOW)
    .order_by(invitation_mails.c.due_at)
    .limit(param("batch", Integer))
    .with_for_update(skip_locked=True)
)

CLAIM = (
    update(invitation_mails)
    .where(invitation_mails.c.mail_id.in_(_DUE))
    .values(due_at=DUE_AT, attempts=invitation_mails.c.attempts + 1)
    .returning(*invitation_mails.c)
)

POSTPONE = (
    update(invitation_mails)
    .where(invitation_mails.c.mail_id == MAIL)
    .values(due_at=DUE_AT)
    .returning(invitation_mails.c.mail_id)
)

FINISH = (
    delete(invitation_mails).where(invitation_mails.c.mail_id == MAIL).returning(invitation_mails.c.mail_id)
)


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
        )

    async def claim(
        self, session: SqlSession, *, now: datetime, lease_until: datetime, batch: int
    ) -> list[DueMail]:
        """Claim due mails that no other courier is claiming. They are due again at ``lease_until``."""
        rows = await fetch_all(session, CLAIM, now=now, due_at=lease_until, batch=batch)
        return [DueMail(row.mail_id, row.tenant_id, row.invitation_id, row.attempts) for row in rows]

    async def postpone(self, session: SqlSession, mail_id: str, due_at: datetime) -> None:
        await fetch_one(session, POSTPONE, mail_id=mail_id, due_at=due_at)

    async def finish(self, session: SqlSession, mail_id: str) -> None:
        """Remove a sent mail from the queue. If its invitation was resent meanwhile, the new mail stays."""
        await fetch_one(session, FINISH, mail_id=mail_id)
