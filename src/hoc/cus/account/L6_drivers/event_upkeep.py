"""What an operator does with events: seeing what is parked, having it tried again, dropping old months."""

import re
from datetime import UTC, datetime

from sqlalchemy import Text, cast, delete, func, literal_column, or_, select, text, union_all, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cus.account.L5_schemas.records import ParkedItem
from hoc.cus.account.L6_drivers.event_line import PUBLISHED
from hoc.cus.account.L6_drivers.statements import SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.tables import SCHEMA, event_cursors, events, parked_events, parked_messages

IDS = param("ids", ARRAY(Text))

_PARTITION = re.compile(r"events_(\d{4})_(\d{2})")


PARKED = union_all(
    select(
        literal_column("'out'", Text).label("direction"),
        cast(parked_events.c.event_id, Text).label("id"),
        events.c.type.label("subject"),
        events.c.time,
        parked_events.c.reason,
        parked_events.c.parked_at,
        parked_events.c.retry,
    ).join(events, events.c.sequence == parked_events.c.sequence),
    select(
        literal_column("'in'", Text),
        parked_messages.c.message_id,
        parked_messages.c.subject,
        parked_messages.c.time,
        parked_messages.c.reason,
        parked_messages.c.parked_at,
        parked_messages.c.retry,
    ),
).order_by("parked_at")

# None of the ids means all.
RETRY_EVENTS = (
    update(parked_events)
    .where(or_(IDS.is_(None), cast(parked_events.c.event_id, Text) == func.any(IDS)))
    .values(retry=True)
    .returning(cast(parked_events.c.event_id, Text).label("id"))
)
RETRY_MESSAGES = (
    update(parked_messages)
    .where(or_(IDS.is_(None), parked_messages.c.message_id == func.any(IDS)))
    .values(retry=True)
    .returning(parked_messages.c.message_id.label("id"))
)

PARTITIONS = text(
    "SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = to_regclass(:given_parent) ORDER BY c.relname"
)
FORGET_PARKED = delete(parked_events).where(
    ~select(events.c.sequence).where(events.c.sequence == parked_events.c.sequence).exists()
)


class SqlEventUpkeep:
    async def parked(self, session: SqlSession) -> list[ParkedItem]:
        """Events that NATS refused, and messages whose handler failed to the last; oldest first."""
        return [
            ParkedItem(row.direction, row.id, row.subject, row.time, row.reason, row.parked_at, row.retry)
            for row in await fetch_all(session, PARKED)
        ]

    async def retry(self, session: SqlSession, ids: list[str] | None) -> list[str]:
        """Have a running relay try these again, or all; which were found."""
        found = [await fetch_all(session, each, ids=ids) for each in (RETRY_EVENTS, RETRY_MESSAGES)]
        return [row.id for rows in found for row in rows]

    async def months_before(self, session: SqlSession, moment: datetime) -> list[str]:
        """The partitions all of whose events happened before the moment."""
        names = [row.name for row in await fetch_all(session, PARTITIONS, parent=events.fullname)]
        return [name for name in names if _end_of(name) <= moment]

    async def has_unpublished(self, session: AsyncConnection, partition: str) -> bool:
        month = f"{SCHEMA}.{partition}"
        published = select(event_cursors.c.sequence).where(event_cursors.c.name == PUBLISHED)
        last: int | None = await session.scalar(text(f"SELECT max(sequence) FROM {month}"))  # noqa: S608 - a name from the catalog
        return (last or 0) > (await session.scalar(published) or 0)

    async def drop(self, session: AsyncConnection, partition: str) -> None:
        """Drop a month's events, and forget which of them were parked."""
        await session.execute(text(f"DROP TABLE {SCHEMA}.{partition}"))
        await session.execute(FORGET_PARKED)


def _end_of(partition: str) -> datetime:
    named = _PARTITION.fullmatch(partition)
    if named is None:  # attached by somebody else, who knows when it may go
        return datetime.max.replace(tzinfo=UTC)
    year, month = int(named[1]), int(named[2])
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
