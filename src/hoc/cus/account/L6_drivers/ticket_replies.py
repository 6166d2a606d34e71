"""The thread of a support ticket, and the queue of mails that tell of support's answers."""

from datetime import datetime

import uuid_utils
from sqlalchemy import Boolean, String, Text, case, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.events import TicketRepliedEventData
from hoc.cus.account.L5_schemas.port_types import Slice, Window
from hoc.cus.account.L5_schemas.tickets import NewReply, TicketReplyResult
from hoc.cus.account.L5_schemas.values import TicketStatus
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import support_tickets, ticket_mails, ticket_replies, users
from hoc.cus.account.L6_drivers.tickets import THIS_TICKET, TICKET

AUTHOR = param("author_id", String)
IS_SUPPORT = param("is_support", Boolean)


def _reply() -> AnySelect:
    """Stores the reply to a locked ticket. The first reply of support puts an open ticket in progress."""
    in_progress = literal(TicketStatus.IN_PROGRESS.value)
    is_taken_up = IS_SUPPORT & (support_tickets.c.status == TicketStatus.OPEN)
    ticket = (
        update(support_tickets)
        .where(THIS_TICKET)
        .values(status=case((is_taken_up, in_progress), else_=support_tickets.c.status), updated_at=NOW)
        .returning(*support_tickets.c)
        .cte("ticket")
    )
    given = {
        "reply_id": param("reply_id", String),
        "author_id": AUTHOR,
        "is_support": IS_SUPPORT,
        "text": param("text", Text),
        "created_at": NOW,
    }
    reply = (
        insert(ticket_replies)
        .from_select(
            ["tenant_id", "ticket_id", *given],
            select(ticket.c.tenant_id, ticket.c.ticket_id, *given.values()),
        )
        .returning(ticket_replies.c.reply_id)
        .cte("reply")
    )
    replied = recorded(
        TicketRepliedEventData, ticket, reply_id=given["reply_id"], is_support=IS_SUPPORT, actor=AUTHOR
    )
    author_name = select(users.c.name).where(users.c.user_id == AUTHOR).scalar_subquery()
    return select(author_name.label("author_name")).select_from(reply).add_cte(replied)


REPLY = _reply()

OF_TICKET = (ticket_replies.c.tenant_id == TENANT) & (ticket_replies.c.ticket_id == TICKET)

REPLIES = Paged(
    select(
        ticket_replies.c.reply_id.label("id"),
        ticket_replies.c.author_id,
        users.c.name.label("author_name"),
        ticket_replies.c.is_support,
        ticket_replies.c.text,
        ticket_replies.c.created_at,
    )
    .select_from(ticket_replies.outerjoin(users, users.c.user_id == ticket_replies.c.author_id))
    .where(OF_TICKET),
    at=ticket_replies.c.created_at,
    row_id=ticket_replies.c.reply_id,
    total=select(func.count()).select_from(ticket_replies).where(OF_TICKET).scalar_subquery(),
)

_queued = {
    "mail_id": param("mail_id", String),
    "attempts": literal(0),
    "due_at": param("now", DateTime(timezone=True)),
}
# A new id in place of a queued one: a courier that is sending the mail before does not remove this one.
QUEUE_MAIL = (
    insert(ticket_mails)
    .values(tenant_id=TENANT, ticket_id=TICKET, **_queued)
    .on_conflict_do_update(index_elements=[ticket_mails.c.tenant_id, ticket_mails.c.ticket_id], set_=_queued)
    .returning(ticket_mails.c.mail_id)
)

_result = record_of(TicketReplyResult, REPLIES)


class SqlTicketReplies:
    async def add(
        self, session: SqlSession, tenant_id: str, ticket_id: str, reply: NewReply
    ) -> TicketReplyResult:
        row = await fetch_one(
            session,
            REPLY,
            tenant_id=tenant_id,
            ticket_id=ticket_id,
            reply_id=reply.id,
            author_id=reply.author_id,
            is_support=reply.is_support,
            text=reply.text,
            now=reply.created_at,
        )
        return TicketReplyResult(
            reply.id,
            reply.author_id,
            None if row is None else row.author_name,
            reply.is_support,
            reply.text,
            reply.created_at,
        )

    async def page(
        self, session: SqlSession, tenant_id: str, ticket_id: str, window: Window
    ) -> Slice[TicketReplyResult]:
        return await REPLIES.fetch(session, window, _result, tenant_id=tenant_id, ticket_id=ticket_id)

    async def queue_mail(self, session: SqlSession, tenant_id: str, ticket_id: str, now: datetime) -> None:
        mail_id = uuid_utils.uuid7().hex
        await fetch_one(
            session, QUEUE_MAIL, tenant_id=tenant_id, ticket_id=ticket_id, mail_id=mail_id, now=now
        )
