"""The courier's queue of mails that tell of support's answers to tickets."""

from sqlalchemy import select

from hoc.cus.account.L5_schemas.tickets import DueTicketMail, TicketMailContent
from hoc.cus.account.L5_schemas.values import CLOSED_TENANT, RESOLVED_TICKET
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_one
from hoc.cus.account.L6_drivers.queued_mails import SqlQueuedMails
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

TICKET_MAILS = SqlQueuedMails(ticket_mails, DueTicketMail)


async def ticket_mail_content(session: SqlSession, mail: DueTicketMail) -> TicketMailContent | None:
    """What the mail says now. None: there is nobody to tell."""
    row = await fetch_one(session, CONTENT, tenant_id=mail.tenant_id, ticket_id=mail.ticket_id)
    return None if row is None else TicketMailContent(*row)
