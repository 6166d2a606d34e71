"""Support tickets."""

from dataclasses import asdict
from datetime import datetime
from itertools import product
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    String,
    Text,
    case,
    exists,
    func,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.events import (
    TicketCreatedEventData,
    TicketReopenedEventData,
    TicketResolvedEventData,
    TicketUpdatedEventData,
)
from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, UncountedSlice, Window
from hoc.cus.account.L5_schemas.tickets import ExtendedTicketResult, TenantTicketResult, TicketFilter
from hoc.cus.account.L5_schemas.values import RESOLVED_TICKET, TenantStatus, TicketStatus
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT, USER, held_membership
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import support_tickets, tenants

TICKET = param("ticket_id", String)
STATUS = param("status", String)
RESOLUTION = param("resolution", Text)
THIS_TICKET = (support_tickets.c.tenant_id == TENANT) & (support_tickets.c.ticket_id == TICKET)


def _create() -> AnySelect:
    author = held_membership(USER)
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
            select(author.c.tenant_id, author.c.user_id, *given.values()).where(
                author.c.status == TenantStatus.ACTIVE
            ),
        )
        .returning(*support_tickets.c)
        .cte("created")
    )
    ticket_created = recorded(
        TicketCreatedEventData, created, at=created.c.created_at, actor=created.c.user_id
    )
    return select(created.c.ticket_id).add_cte(ticket_created)


CREATE = _create()

COLUMNS = (
    support_tickets.c.ticket_id.label("id"),
    support_tickets.c.subject,
    support_tickets.c.description,
    support_tickets.c.category,
    support_tickets.c.priority,
    support_tickets.c.status,
    support_tickets.c.created_at,
    support_tickets.c.updated_at,
    support_tickets.c.resolution,
    support_tickets.c.resolved_at,
    support_tickets.c.user_id,
)

FILTERS = ("status", "priority", "category")

FIND = select(*COLUMNS).where(THIS_TICKET)
LOCK = FIND.with_for_update(key_share=True)


def _of_kind(kind: tuple[bool, ...]) -> list[ColumnElement[bool]]:
    """Written into the statement: the rarest of the kinds decides which index is read."""
    return [
        support_tickets.c[name] == param(name, String, literal_execute=True)
        for name, is_given in zip(FILTERS, kind, strict=True)
        if is_given
    ]


def _page(kind: tuple[bool, ...]) -> Paged:
    conditions = [support_tickets.c.tenant_id == TENANT, *_of_kind(kind)]
    return Paged(
        select(*COLUMNS).where(*conditions),
        at=support_tickets.c.created_at,
        row_id=support_tickets.c.ticket_id,
        total=select(func.count()).select_from(support_tickets).where(*conditions).scalar_subquery(),
        newest_first=True,
        plans_each=any(kind),
    )


def _page_of_all(kind: tuple[bool, ...], *, after: bool) -> AnySelect:
    """Crosses tenants."""
    position = (support_tickets.c.created_at, support_tickets.c.ticket_id)
    key = func.row(param("after_at", DateTime(timezone=True)), param("after_id", String))
    return (
        select(*COLUMNS, support_tickets.c.tenant_id, tenants.c.name.label("tenant_name"))
        .select_from(support_tickets.join(tenants))
        .where(*_of_kind(kind), *([func.row(*position) < key] if after else []))
        .order_by(*(column.desc() for column in position))
        .limit(param("row_limit", Integer, literal_execute=True))
    )


_KINDS = list(product((False, True), repeat=len(FILTERS)))
PAGES = {kind: _page(kind) for kind in _KINDS}
PAGES_OF_ALL = {(*kind, after): _page_of_all(kind, after=after) for kind in _KINDS for after in (False, True)}


def _set_status() -> AnySelect:
    """Each change has one event, of the most specific type."""
    before = select(*COLUMNS).where(THIS_TICKET).with_for_update(key_share=True).cte("before")
    resolution = func.coalesce(RESOLUTION, before.c.resolution)
    will_be_resolved = STATUS.in_(RESOLVED_TICKET)
    changed = (
        update(support_tickets)
        .where(
            THIS_TICKET,
            support_tickets.c.ticket_id == before.c.id,
            (before.c.status != STATUS) | before.c.resolution.is_distinct_from(resolution),
        )
        .values(
            status=STATUS,
            resolution=resolution,
            resolved_at=case((will_be_resolved, func.coalesce(before.c.resolved_at, NOW)), else_=None),
            updated_at=NOW,
        )
        .returning(*COLUMNS)
        .cte("changed")
    )
    was_resolved = exists().where(before.c.status.in_(RESOLVED_TICKET))
    events = [
        recorded(event, changed, condition, tenant_id=TENANT, ticket_id=changed.c.id)
        for event, condition in (
            (TicketResolvedEventData, will_be_resolved & ~was_resolved),
            (TicketReopenedEventData, ~will_be_resolved & was_resolved),
            (TicketUpdatedEventData, will_be_resolved == was_resolved),
        )
    ]
    unchanged = select(before).where(~select(changed.c.id).exists())
    return select(union_all(select(changed), unchanged).subquery("ticket")).add_cte(*events)


SET_STATUS = _set_status()


_ticket = record_of(ExtendedTicketResult, *PAGES.values(), SET_STATUS, FIND)
_tenant_ticket = record_of(TenantTicketResult, *PAGES_OF_ALL.values())


class SqlTickets:
    async def create(self, session: SqlSession, tenant_id: str, ticket: ExtendedTicketResult) -> bool:
        row = await fetch_one(
            session,
            CREATE,
            tenant_id=tenant_id,
            user_id=ticket.user_id,
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
        self, session: SqlSession, tenant_id: str, window: Window, wanted: TicketFilter
    ) -> Slice[ExtendedTicketResult]:
        kind, values = _chosen(wanted)
        return await PAGES[kind].fetch(session, window, _ticket, tenant_id=tenant_id, **values)

    async def page_of_all(
        self, session: SqlSession, window: Window, wanted: TicketFilter
    ) -> UncountedSlice[TenantTicketResult]:
        kind, values = _chosen(wanted)
        if window.after is not None:
            values |= {"after_at": window.after.at, "after_id": window.after.id}
        statement = PAGES_OF_ALL[*kind, window.after is not None]
        found = await fetch_all(session, statement, row_limit=window.limit + 1, **values)
        shown = found[: window.limit]
        return UncountedSlice(
            rows=[_tenant_ticket(row) for row in shown],
            last_key=SortKey(shown[-1].created_at, shown[-1].id) if shown else None,
            has_more=len(found) > window.limit,
        )

    async def find(
        self, session: SqlSession, tenant_id: str, ticket_id: str, *, lock: bool = False
    ) -> ExtendedTicketResult | None:
        row = await fetch_one(session, LOCK if lock else FIND, tenant_id=tenant_id, ticket_id=ticket_id)
        return None if row is None else _ticket(row)

    async def set_status(
        self,
        session: SqlSession,
        tenant_id: str,
        ticket_id: str,
        *,
        status: TicketStatus,
        resolution: str | None,
        now: datetime,
        actor: str | None,
    ) -> ExtendedTicketResult | None:
        row = await fetch_one(
            session,
            SET_STATUS,
            tenant_id=tenant_id,
            ticket_id=ticket_id,
            status=status,
            resolution=resolution,
            now=now,
            actor=actor,
        )
        return None if row is None else _ticket(row)


def _chosen(wanted: TicketFilter) -> tuple[tuple[bool, ...], dict[str, Any]]:
    """Which of `FILTERS` are given, and their values."""
    given = {name: value for name, value in asdict(wanted).items() if value is not None}
    return tuple(name in given for name in FILTERS), given
