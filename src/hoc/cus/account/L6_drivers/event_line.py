"""The line of events: out of the outbox into it, and along it, as far as each is published or parked."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Integer,
    String,
    Text,
    delete,
    exists,
    func,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cus.account.L5_schemas.results import EventResult
from hoc.cus.account.L6_drivers.event_log import COLUMNS, IN_LINE, event
from hoc.cus.account.L6_drivers.statements import AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.tables import SCHEMA, event_cursors, events, outbox, parked_events

ADVISORY_LOCK = 7_463_120_004

LINE = "line"
"""The cursor that says how far the line goes."""
PUBLISHED = "nats"
"""The cursor that says how far it is published."""

NAME = param("name", String)
SEQUENCE = param("sequence", BigInteger)
EVENT = param("event_id", UUID(as_uuid=False))

CREATE_CURSOR = insert(event_cursors).values(name=NAME, sequence=0).on_conflict_do_nothing().returning(NAME)

TAKE_TURN = (
    select(event_cursors.c.sequence).where(event_cursors.c.name == NAME).with_for_update(skip_locked=True)
)

ADVANCE = (
    update(event_cursors)
    .where(event_cursors.c.name == NAME)
    .values(sequence=SEQUENCE)
    .returning(event_cursors.c.sequence)
)


def _line_up() -> AnySelect:
    """Number the committed events and move them, if nobody else is at it; all in one statement.

    An event that another came after, on the same rows, has the lower position, and was visible before it: so
    it is never behind it. One that commits late is simply numbered late.
    """
    line = (
        select(event_cursors.c.sequence)
        .where(event_cursors.c.name == LINE)
        .with_for_update(skip_locked=True)
        .cte("line")
    )
    first = select(outbox.c.position).order_by(outbox.c.position).limit(param("limit", Integer))
    # An array, so that a long outbox is entered by its key and not read through.
    positions = func.any(func.array(first.scalar_subquery()))
    taken = (
        delete(outbox)
        .where(outbox.c.position == positions, exists().select_from(line))
        .returning(*outbox.c)
        .cte("taken")
    )
    number = line.c.sequence + func.row_number().over(order_by=taken.c.position)
    lined_up = (
        insert(events)
        .from_select(
            ["sequence", *COLUMNS],
            select(number, *(taken.c[name] for name in COLUMNS)).select_from(taken.join(line, true())),
        )
        .cte("lined_up")
    )
    count = select(func.count()).select_from(taken).scalar_subquery()
    moved = (
        update(event_cursors)
        .where(event_cursors.c.name == LINE, exists().select_from(taken))
        .values(sequence=event_cursors.c.sequence + count)
        .cte("moved")
    )
    return select(count.label("lined_up")).add_cte(lined_up, moved)


LINE_UP = _line_up()

PARK = (
    insert(parked_events)
    .values(event_id=EVENT, sequence=SEQUENCE, reason=param("reason", Text))
    .on_conflict_do_update(
        index_elements=[parked_events.c.event_id], set_={"reason": param("reason", Text), "retry": False}
    )
    .returning(parked_events.c.event_id)
)
UNPARK = delete(parked_events).where(parked_events.c.event_id == EVENT).returning(parked_events.c.event_id)
RETRIES = (
    select(*(events.c[name] for name in COLUMNS), events.c.sequence)
    .join(parked_events, parked_events.c.sequence == events.c.sequence)
    .where(parked_events.c.retry)
    .order_by(events.c.sequence)
    .limit(param("limit", Integer))
)

MONTHS = select(func.date_trunc("month", outbox.c.time, "UTC").label("month")).distinct()


@dataclass(frozen=True, slots=True)
class LineStatus:
    """``unpublished`` events, the ``oldest`` of which happened then; ``parked`` are not among them."""

    unpublished: int
    oldest: datetime | None
    parked: int


def _status() -> AnySelect:
    def cursor(name: str) -> AnySelect:
        return select(event_cursors.c.sequence).where(event_cursors.c.name == name)

    line, published = (
        func.coalesce(cursor(name).scalar_subquery(), 0).label(name) for name in (LINE, PUBLISHED)
    )
    waiting = select(func.count(), func.min(outbox.c.time).label("oldest")).select_from(outbox).subquery()
    unpublished = (
        select(events.c.time)
        .where(events.c.sequence > published)
        .order_by(events.c.sequence)
        .limit(1)
        .scalar_subquery()
    )
    return select(
        (waiting.c.count + line - published).label("unpublished"),
        func.least(waiting.c.oldest, unpublished).label("oldest"),
        select(func.count()).select_from(parked_events).scalar_subquery().label("parked"),
    )


STATUS = _status()


class SqlEventLine:
    async def create_cursors(self, session: SqlSession) -> None:
        for name in (LINE, PUBLISHED):
            await fetch_one(session, CREATE_CURSOR, name=name)

    async def line_up(self, session: SqlSession, limit: int) -> int:
        """Put up to ``limit`` committed events in line; how many. None while another process is at it."""
        [row] = await fetch_all(session, LINE_UP, limit=limit)
        return int(row.lined_up)

    async def create_partitions(self, session: AsyncConnection) -> None:
        """Make the months' tables that the events in the outbox belong in."""
        await session.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
        for row in await fetch_all(session, MONTHS):
            start: datetime = row.month
            end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
            name = f"{SCHEMA}.events_{start:%Y_%m}"
            if await session.scalar(select(func.to_regclass(name))) is not None:
                continue
            # Attached instead of created in place, which would wait for whoever reads the table.
            await session.execute(text(f"CREATE TABLE {name} (LIKE {events.fullname} INCLUDING ALL)"))
            await session.execute(
                text(
                    f"ALTER TABLE {events.fullname} ATTACH PARTITION {name}"
                    f" FOR VALUES FROM ('{start:%Y-%m-%d}+00') TO ('{end:%Y-%m-%d}+00')"
                )
            )

    async def take_turn(self, session: SqlSession) -> int | None:
        """Become the one who publishes, until the transaction ends: from where. None: another is."""
        row = await fetch_one(session, TAKE_TURN, name=PUBLISHED)
        return None if row is None else int(row.sequence)

    async def next(self, session: SqlSession, after: int, limit: int) -> list[EventResult]:
        return [event(row) for row in await fetch_all(session, IN_LINE, after=after, limit=limit)]

    async def retries(self, session: SqlSession, limit: int) -> list[EventResult]:
        """Parked events that somebody wants tried again."""
        return [event(row) for row in await fetch_all(session, RETRIES, limit=limit)]

    async def advance(self, session: SqlSession, sequence: int | None) -> None:
        await fetch_one(session, ADVANCE, name=PUBLISHED, sequence=sequence)

    async def park(self, session: SqlSession, parked: EventResult, reason: str) -> None:
        await fetch_one(session, PARK, event_id=parked.event_id, sequence=parked.sequence, reason=reason)

    async def unpark(self, session: SqlSession, event_id: str) -> None:
        await fetch_one(session, UNPARK, event_id=event_id)

    async def status(self, session: SqlSession) -> LineStatus:
        [row] = await fetch_all(session, STATUS)
        return LineStatus(unpublished=row.unpublished, oldest=row.oldest, parked=row.parked)
