"""Reading events: one tenant's for the audit trail, all of them for the feed."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    String,
    Table,
    func,
    null,
    select,
    union_all,
)

from hoc.cus.account.L5_schemas.port_types import (
    AuditFilter,
    EventNames,
    NamedIds,
    SortKey,
    UncountedSlice,
    Window,
)
from hoc.cus.account.L5_schemas.results import EventResult
from hoc.cus.account.L6_drivers.event_names import names_of
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.fragments import TENANT
from hoc.cus.account.L6_drivers.tables import events, outbox

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_END = SortKey(datetime(9999, 12, 31, tzinfo=UTC), "0")

LIMIT = param("limit", Integer)

COLUMNS = ("event_id", "type", "time", "tenant_id", "user_id", "actor", "payload", "position")


def _time(name: str) -> ColumnElement[datetime]:
    return param(name, DateTime(timezone=True))


def _of_tenant(*, by_actor: bool, by_type: bool) -> AnySelect:
    """Reads both tables in one statement, since events move from one to the other.

    Each set of filters has an index that has its rows in order, and a statement of its own to use it.
    """
    newest = [
        _newest(table, sequence, by_actor=by_actor, by_type=by_type)
        for table, sequence in ((outbox, null().cast(BigInteger)), (events, events.c.sequence))
    ]
    both = union_all(*newest).subquery("both")
    return select(both).order_by(both.c.time.desc(), both.c.position.desc()).limit(LIMIT)


def _newest(table: Table, sequence: ColumnElement[Any], *, by_actor: bool, by_type: bool) -> AnySelect:
    before_at = _time("before_at")
    before = func.row(before_at, param("before_position", BigInteger))
    filters = [table.c.actor == param("actor", String)] if by_actor else []
    filters += [table.c.type == param("type", String)] if by_type else []
    rows = (
        select(*(table.c[name] for name in COLUMNS), sequence.label("sequence"))
        .where(
            table.c.tenant_id == TENANT,
            *filters,
            func.row(table.c.time, table.c.position) < before,
            table.c.time <= before_at,  # by which PostgreSQL leaves out partitions
            table.c.time >= _time("since"),
        )
        .order_by(table.c.time.desc(), table.c.position.desc())
        .limit(LIMIT)
    )
    return select(rows.subquery(f"of_{table.name}"))


OF_TENANT = {
    (by_actor, by_type): _of_tenant(by_actor=by_actor, by_type=by_type)
    for by_actor in (False, True)
    for by_type in (False, True)
}
"""By whether the actor is given, and whether the type is."""

IN_SEQUENCE = (
    select(*(events.c[name] for name in COLUMNS), events.c.sequence)
    .where(events.c.sequence > param("after", BigInteger))
    .order_by(events.c.sequence)
    .limit(LIMIT)
)


class SqlEventLog:
    async def of_tenant(
        self, session: SqlSession, tenant_id: str, window: Window, wanted: AuditFilter
    ) -> UncountedSlice[EventResult]:
        before = _before(window.after, wanted.until)
        filters = {"actor": wanted.actor, "type": wanted.type}
        given = {name: value for name, value in filters.items() if value is not None}
        found = await fetch_all(
            session,
            OF_TENANT["actor" in given, "type" in given],
            tenant_id=tenant_id,
            before_at=before.at,
            before_position=int(before.id),
            since=wanted.since or _BEGINNING,
            limit=window.limit + 1,
            **given,
        )
        shown = found[: window.limit]
        return UncountedSlice(
            rows=[event_of(row) for row in shown],
            last_key=SortKey(shown[-1].time, str(shown[-1].position)) if shown else None,
            has_more=len(found) > window.limit,
        )

    async def names(self, session: SqlSession, tenant_id: str, ids: NamedIds) -> EventNames:
        return await names_of(session, tenant_id, ids)

    async def in_sequence(self, session: SqlSession, after: int, limit: int) -> list[EventResult]:
        return [event_of(row) for row in await fetch_all(session, IN_SEQUENCE, after=after, limit=limit)]


def _before(after: SortKey | None, until: datetime | None) -> SortKey:
    """Where a page begins: every event on it is before this position, which comes from a cursor or a time."""
    last = _END if until is None else SortKey(until, "0")
    return last if after is None or after.at >= last.at else after


def event_of(row: AnyRow) -> EventResult:
    """The event in a row of `COLUMNS` and ``sequence``."""
    return EventResult(
        event_id=row.event_id,
        type=row.type,
        time=row.time,
        tenant_id=row.tenant_id,
        user_id=row.user_id,
        actor=row.actor,
        data=row.payload,
        sequence=row.sequence,
    )
