"""Dead letters: events that NATS refused, and messages that no handler could handle."""

from sqlalchemy import (
    BigInteger,
    Integer,
    Text,
    cast,
    delete,
    func,
    literal_column,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID, insert

from hoc.cus.account.L5_schemas.port_types import DeadLetter, Slice, Window
from hoc.cus.account.L5_schemas.results import EventResult
from hoc.cus.account.L6_drivers.event_log import COLUMNS, event_of
from hoc.cus.account.L6_drivers.execution import AnyRow, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.tables import dead_events, dead_messages, events

EVENT = param("event_id", UUID(as_uuid=False))
REASON = param("reason", Text)
IDS = param("ids", ARRAY(Text))

ADD = (
    insert(dead_events)
    .values(event_id=EVENT, sequence=param("sequence", BigInteger), reason=REASON)
    .on_conflict_do_update(index_elements=[dead_events.c.event_id], set_={"reason": REASON, "retry": False})
    .returning(dead_events.c.event_id)
)
REMOVE = delete(dead_events).where(dead_events.c.event_id == EVENT).returning(dead_events.c.event_id)
RETRIES = (
    select(*(events.c[name] for name in COLUMNS), events.c.sequence)
    .join(dead_events, dead_events.c.sequence == events.c.sequence)
    .where(dead_events.c.retry)
    .order_by(events.c.sequence)
    .limit(param("limit", Integer))
)

_ALL = union_all(
    select(
        literal_column("'out'", Text).label("direction"),
        cast(dead_events.c.event_id, Text).label("id"),
        events.c.type.label("subject"),
        events.c.time,
        dead_events.c.reason,
        dead_events.c.parked_at,
        dead_events.c.retry,
    ).join(events, events.c.sequence == dead_events.c.sequence),
    select(
        literal_column("'in'", Text),
        dead_messages.c.message_id,
        dead_messages.c.subject,
        dead_messages.c.time,
        dead_messages.c.reason,
        dead_messages.c.parked_at,
        dead_messages.c.retry,
    ),
)
LIST = _ALL.order_by("parked_at")

_LISTED = _ALL.subquery("listed")
PAGES = Paged(
    select(_LISTED),
    at=_LISTED.c.parked_at,
    row_id=_LISTED.c.id,
    total=select(func.count()).select_from(_ALL.subquery("counted")).scalar_subquery(),
)

# ids = NULL selects every row.
RETRY_EVENTS = (
    update(dead_events)
    .where(or_(IDS.is_(None), cast(dead_events.c.event_id, Text) == func.any(IDS)))
    .values(retry=True)
    .returning(cast(dead_events.c.event_id, Text).label("id"))
)
RETRY_MESSAGES = (
    update(dead_messages)
    .where(or_(IDS.is_(None), dead_messages.c.message_id == func.any(IDS)))
    .values(retry=True)
    .returning(dead_messages.c.message_id.label("id"))
)


class SqlDeadLetters:
    async def add(self, session: SqlSession, event: EventResult, reason: str) -> None:
        await fetch_one(session, ADD, event_id=event.event_id, sequence=event.sequence, reason=reason)

    async def remove(self, session: SqlSession, event_id: str) -> None:
        await fetch_one(session, REMOVE, event_id=event_id)

    async def retries(self, session: SqlSession, limit: int) -> list[EventResult]:
        """The dead events for which a retry was requested."""
        return [event_of(row) for row in await fetch_all(session, RETRIES, limit=limit)]

    async def find_all(self, session: SqlSession) -> list[DeadLetter]:
        """All dead events and messages, oldest first."""
        return [_letter(row) for row in await fetch_all(session, LIST)]

    async def page(self, session: SqlSession, window: Window) -> Slice[DeadLetter]:
        """A page of them, oldest first."""
        return await PAGES.fetch(session, window, _letter)

    async def request_retry(self, session: SqlSession, ids: list[str] | None) -> list[str]:
        """Ask the running relays to retry these ids, or all. Returns the ids that exist."""
        found = [await fetch_all(session, each, ids=ids) for each in (RETRY_EVENTS, RETRY_MESSAGES)]
        return [row.id for rows in found for row in rows]


def _letter(row: AnyRow) -> DeadLetter:
    return DeadLetter(row.direction, row.id, row.subject, row.time, row.reason, row.parked_at, row.retry)
