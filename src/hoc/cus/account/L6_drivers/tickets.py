"""Support tickets."""

from datetime import datetime

from sqlalchemy import String, Text, case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.records import Slice, Window
from hoc.cus.account.L5_schemas.results import SupportTicketResult
from hoc.cus.account.L5_schemas.values import TenantStatus, TicketStatus
from hoc.cus.account.L6_drivers.statements import (
    NOW,
    TENANT,
    USER,
    AnyRow,
    AnySelect,
    Paged,
    SqlSession,
    fetch_one,
    param,
)
from hoc.cus.account.L6_drivers.tables import memberships, support_tickets, tenants

TICKET = param("ticket_id", String)
STATUS = param("status", String)
RESOLUTION = param("resolution", Text)


def _create() -> AnySelect:
    author = (
        select(memberships.c.tenant_id, memberships.c.user_id)
        .select_from(memberships.join(tenants))
        .where(
            memberships.c.tenant_id == TENANT,
            memberships.c.user_id == USER,
            memberships.c.is_active,
            tenants.c.status == TenantStatus.ACTIVE,
        )
        .cte("author")
    )
    given = {
        "ticket_id": TICKET,
        "subject": param("subject", Text),
        "description": param("description", Text),
        "category": param("category", String),
        "priority": param("priority", String),
        "status": STATUS,
        "created_at": NOW,
        "updated_at": NOW,
    }
    created = (
        insert(support_tickets)
        .from_select(
            ["tenant_id", "user_id", *given],
            select(author.c.tenant_id, author.c.user_id, *given.values()),
        )
        .returning(support_tickets.c.ticket_id)
        .cte("created")
    )
    return select(created.c.ticket_id)


CREATE = _create()

COLUMNS = (
    support_tickets.c.ticket_id,
    support_tickets.c.subject,
    support_tickets.c.description,
    support_tickets.c.category,
    support_tickets.c.priority,
    support_tickets.c.status,
    support_tickets.c.created_at,
    support_tickets.c.updated_at,
    support_tickets.c.resolution,
    support_tickets.c.resolved_at,
)


def _page(*, by_status: bool) -> Paged:
    conditions = [support_tickets.c.tenant_id == TENANT]
    if by_status:
        conditions.append(support_tickets.c.status == STATUS)
    return Paged(
        select(*COLUMNS).where(*conditions),
        at=support_tickets.c.created_at,
        row_id=support_tickets.c.ticket_id,
        total=select(func.count()).select_from(support_tickets).where(*conditions).scalar_subquery(),
        newest_first=True,
    )


PAGES = {by_status: _page(by_status=by_status) for by_status in (False, True)}

_IS_CHANGED = (support_tickets.c.status != STATUS) | support_tickets.c.resolution.is_distinct_from(
    func.coalesce(RESOLUTION, support_tickets.c.resolution)
)

SET_STATUS = (
    update(support_tickets)
    .where(support_tickets.c.tenant_id == TENANT, support_tickets.c.ticket_id == TICKET)
    .values(
        status=STATUS,
        resolution=func.coalesce(RESOLUTION, support_tickets.c.resolution),
        resolved_at=case(
            (
                STATUS.in_([TicketStatus.RESOLVED, TicketStatus.CLOSED]),
                func.coalesce(support_tickets.c.resolved_at, NOW),
            ),
            else_=None,
        ),
        updated_at=case((_IS_CHANGED, NOW), else_=support_tickets.c.updated_at),
    )
    .returning(*COLUMNS)
)


class SqlTickets:
    async def create(
        self, session: SqlSession, tenant_id: str, user_id: str, ticket: SupportTicketResult
    ) -> bool:
        row = await fetch_one(
            session,
            CREATE,
            tenant_id=tenant_id,
            user_id=user_id,
            ticket_id=ticket.id,
            subject=ticket.subject,
            description=ticket.description,
            category=ticket.category,
            priority=ticket.priority,
            status=ticket.status,
            now=ticket.created_at,
        )
        return row is not None

    async def page(
        self, session: SqlSession, tenant_id: str, window: Window, *, status: TicketStatus | None
    ) -> Slice[SupportTicketResult]:
        values = {"tenant_id": tenant_id} | ({} if status is None else {"status": status})
        return await PAGES[status is not None].fetch(session, window, _ticket, **values)

    async def set_status(
        self,
        session: SqlSession,
        tenant_id: str,
        ticket_id: str,
        *,
        status: TicketStatus,
        resolution: str | None,
        now: datetime,
    ) -> SupportTicketResult | None:
        row = await fetch_one(
            session,
            SET_STATUS,
            tenant_id=tenant_id,
            ticket_id=ticket_id,
            status=status,
            resolution=resolution,
            now=now,
        )
        return None if row is None else _ticket(row)


def _ticket(row: AnyRow) -> SupportTicketResult:
    return SupportTicketResult(
        id=row.ticket_id,
        subject=row.subject,
        description=row.description,
        category=row.category,
        priority=row.priority,
        status=row.status,
        created_at=row.created_at,
        updated_at=row.updated_at,
        resolution=row.resolution,
        resolved_at=row.resolved_at,
    )
