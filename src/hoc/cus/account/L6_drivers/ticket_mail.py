"""The courier's queue of mails that tell of support's answers to tickets."""

from datetime import datetime

from sqlalchemy import select

from hoc.cus.account.L5_schemas.tickets import DueTicketMail, TicketMailContent
from hoc.cus.account.L5_schemas.values import CLOSED_TENANT, RESOLVED_TICKET
from hoc.cus.account.L6_drivers import queued_mails
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, fetch_one
from hoc.cus.account.L6_drivers.tables import memberships, support_tickets, tenants, ticket_mails, users
from hoc.cus.account.L6_drivers.tickets import THIS_TICKET

# Only to who may read the ticket now, at an address that is known to be theirs.
CONTENT = (
    select(
        users.c.email,
        support_tickets.c.subject,
        tenants.c.name.label("tenant_name"),
        support_tickets.c.status.in_(RESOLVED_TICKET).label("is_resolved"),
        users.c.locale,
    )
    .select_from(
        support_tickets.join(users, users.c.user_id == support_tickets.c.user_id)
        .join(
            memberships,
            (memberships.c.tenant_id == support_tickets.c.tenant_id)
            & (memberships.c.user_id == support_tickets.c.user_id),
        )
        .join(tenants, tenants.c.tenant_id == support_tickets.c.tenant_id)
    )
    .where(
        THIS_TICKET,
        memberships.c.is_active,
        users.c.email_verified,
        users.c.email_key.is_not(None),
        tenants.c.status.not_in(CLOSED_TENANT),
    )
)

CLAIM = queued_mails.claim(ticket_mails).returning(*ticket_mails.c)

POSTPONE = queued_mails.postpone(ticket_mails)
FINISH = queued_mails.remove(ticket_mails)


class SqlTicketMail:
    async def content(self, session: SqlSession, mail: DueTicketMail) -> TicketMailContent | None:
        """What the mail says now. None: there is nobody to tell."""
        row = await fetch_one(session, CONTENT, tenant_id=mail.tenant_id, ticket_id=mail.ticket_id)
        return None if row is None else TicketMailContent(*row)

    async def claim(
        self, session: SqlSession, *, now: datetime, lease_until: datetime, batch: int
    ) -> list[DueTicketMail]:
        """Claim due mails that no other courier is claiming. They are due again at ``lease_until``."""
        rows = await fetch_all(session, CLAIM, now=now, due_at=lease_until, batch=batch)
        return [DueTicketMail(row.mail_id, row.tenant_id, row.ticket_id, row.attempts) for row in rows]

    async def postpone(
        self, session: SqlSession, mail: DueTicketMail, due_at: datetime, _now: datetime
    ) -> None:
        await fetch_one(session, POSTPONE, mail_id=mail.mail_id, due_at=due_at)

    async def finish(self, session: SqlSession, mail: DueTicketMail, _now: datetime) -> None:
        """Remove a sent mail from the queue. If support answered again meanwhile, the new mail stays."""
        await fetch_one(session, FINISH, mail_id=mail.mail_id)

    async def fail(self, session: SqlSession, mail: DueTicketMail, _reason: str, now: datetime) -> None:
        await self.finish(session, mail, now)

    async def drop(self, session: SqlSession, mail: DueTicketMail, now: datetime) -> None:
        await self.finish(session, mail, now)
