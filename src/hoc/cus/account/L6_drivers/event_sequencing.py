"""Sequencing: numbering events without gaps while moving them from the outbox, and the cursors."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Integer, String, delete, exists, func, select, true, update
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.results import EventResult
from hoc.cus.account.L6_drivers.event_log import COLUMNS, IN_SEQUENCE, event_of
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.tables import dead_events, event_cursors, events, outbox

SEQUENCED = "sequenced"
"""The cursor of numbering: the number of the last event that has one."""
PUBLISHED = "nats"
"""The cursor of publishing: every event up to this number is published or dead."""

NAME = param("name", String)
SEQUENCE = param("sequence", BigInteger)

CREATE_CURSOR = insert(event_cursors).values(name=NAME, sequence=0).on_conflict_do_nothing().returning(NAME)

LOCK_CURSOR = (
    select(event_cursors.c.sequence).where(event_cursors.c.name == NAME).with_for_update(skip_locked=True)
)

ADVANCE = (
    update(event_cursors)
    .where(event_cursors.c.name == NAME)
    .values(sequence=SEQUENCE)
    .returning(event_cursors.c.sequence)
)


def _sequence_events() -> AnySelect:
    """Number committed outbox rows and move them to `events`, unless another process holds the cursor.

    If event B follows event A on the same row, A committed first and has the lower outbox position, so A is
    always numbered before B. An unrelated event that commits late just gets a later number.
    """
    cursor = (
        select(event_cursors.c.sequence)
        .where(event_cursors.c.name == SEQUENCED)
        .with_for_update(skip_locked=True)
        .cte("cursor")
    )
    first = select(outbox.c.position).order_by(outbox.c.position).limit(param("limit", Integer))
    # As an array, so that PostgreSQL finds the rows by their key and does not scan a long outbox.
    positions = func.any(func.array(first.scalar_subquery()))
    taken = (
        delete(outbox)
        .where(outbox.c.position == positions, exists().select_from(cursor))
        .returning(*outbox.c)
        .cte("taken")
    )
    number = cursor.c.sequence + func.row_number().over(order_by=taken.c.position)
    sequenced = (
        insert(events)
        .from_select(
            ["sequence", *COLUMNS],
            select(number, *(taken.c[name] for name in COLUMNS)).select_from(taken.join(cursor, true())),
        )
        .cte("sequenced")
    )
    count = select(func.count()).select_from(taken).scalar_subquery()
    moved = (
        update(event_cursors)
        .where(event_cursors.c.name == SEQUENCED, exists().select_from(taken))
        .values(sequence=event_cursors.c.sequence + count)
        .cte("moved")
    )
    return select(count.label("sequenced")).add_cte(sequenced, moved)


SEQUENCE_EVENTS = _sequence_events()


@dataclass(frozen=True, slots=True)
class EventBacklog:
    """How many events are not published, the time of the oldest, and, apart from these, how many are dead."""

    unpublished: int
    oldest: datetime | None
    dead: int


def _status() -> AnySelect:
    def cursor(name: str) -> AnySelect:
        return select(event_cursors.c.sequence).where(event_cursors.c.name == name)

    sequenced, published = (
        func.coalesce(cursor(name).scalar_subquery(), 0).label(name) for name in (SEQUENCED, PUBLISHED)
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
        (waiting.c.count + sequenced - published).label("unpublished"),
        func.least(waiting.c.oldest, unpublished).label("oldest"),
        select(func.count()).select_from(dead_events).scalar_subquery().label("dead"),
    )


STATUS = _status()


class SqlEventSequencing:
    async def create_cursors(self, session: SqlSession) -> None:
        for name in (SEQUENCED, PUBLISHED):
            await fetch_one(session, CREATE_CURSOR, name=name)

    async def sequence_events(self, session: SqlSession, limit: int) -> int:
        """Number up to ``limit`` committed outbox rows and move them to `events`.

        Returns how many; 0 also when another process holds the cursor.
        """
        [row] = await fetch_all(session, SEQUENCE_EVENTS, limit=limit)
        return int(row.sequenced)

    async def lock_published(self, session: SqlSession) -> int | None:
        """Lock the cursor of published events until the transaction ends.

        Returns its sequence; None when another relay holds the lock.
        """
        row = await fetch_one(session, LOCK_CURSOR, name=PUBLISHED)
        return None if row is None else int(row.sequence)

    async def next(self, session: SqlSession, after: int, limit: int) -> list[EventResult]:
        return [event_of(row) for row in await fetch_all(session, IN_SEQUENCE, after=after, limit=limit)]

    async def advance(self, session: SqlSession, sequence: int | None) -> None:
        await fetch_one(session, ADVANCE, name=PUBLISHED, sequence=sequence)

    async def status(self, session: SqlSession) -> EventBacklog:
        [row] = await fetch_all(session, STATUS)
        return EventBacklog(unpublished=row.unpublished, oldest=row.oldest, dead=row.dead)
