"""Reading events: one tenant's for the audit trail, all of them for the feed."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Integer,
    String,
    Table,
    func,
    null,
    or_,
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
_END = datetime(9999, 12, 31, tzinfo=UTC)
_LAST = SortKey(_END, str(2**63 - 1))

LIMIT = param("limit", Integer)
ACTOR = param("actor", String)
TYPE = param("type", String)

COLUMNS = ("event_id", "type", "time", "tenant_id", "user_id", "actor", "payload", "position")


def _time(name: str) -> Any:  # noqa: ANN401 - SQLAlchemy's own annotation of a bind parameter
    return param(name, DateTime(timezone=True))


def _of_tenant() -> AnySelect:
    """Reads both tables in one statement, since events move from one to the other."""
    newest = [_newest(outbox, null().cast(BigInteger)), _newest(events, events.c.sequence)]
    both = union_all(*newest).subquery("both")
    return select(both).order_by(both.c.time.desc(), both.c.position.desc()).limit(LIMIT)


def _newest(table: Table, sequence: Any) -> AnySelect:  # noqa: ANN401 - a column, or a null of its type
    position = func.row(table.c.time, table.c.position)
    rows = (
        select(*(table.c[name] for name in COLUMNS), sequence.label("sequence"))
        .where(
            table.c.tenant_id == TENANT,
            position < func.row(_time("after_at"), param("after_position", BigInteger)),
            table.c.time >= _time("since"),
            table.c.time < _time("until"),
            or_(ACTOR.is_(None), table.c.actor == ACTOR),
            or_(TYPE.is_(None), table.c.type == TYPE),
        )
        .order_by(table.c.time.desc(), table.c.position.desc())
        .limit(LIMIT)
    )
    return select(rows.subquery(f"of_{table.name}"))


OF_TENANT = _of_tenant()

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
        after = window.after or _LAST
        found = await fetch_all(
            session,
            OF_TENANT,
            tenant_id=tenant_id,
            after_at=after.at,
            after_position=int(after.id),
            since=wanted.since or _BEGINNING,
            until=wanted.until or _END,
            actor=wanted.actor,
            type=wanted.type,
            limit=window.limit + 1,
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
