"""The monthly partitions of the table of events: creating those that are needed, dropping old ones."""

import re
from datetime import UTC, datetime

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cus.account.L6_drivers.advisory_locks import AdvisoryLock
from hoc.cus.account.L6_drivers.event_sequencing import PUBLISHED
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all
from hoc.cus.account.L6_drivers.tables import SCHEMA, dead_events, event_cursors, events, outbox

_PARTITION = re.compile(r"events_(\d{4})_(\d{2})")

LOCK = select(func.pg_advisory_xact_lock(AdvisoryLock.EVENT_PARTITIONS))
MONTHS_IN_OUTBOX = select(func.date_trunc("month", outbox.c.time, "UTC").label("month")).distinct()
PARTITIONS = text(
    "SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = to_regclass(:given_parent) ORDER BY c.relname"
)
FORGET_DEAD_EVENTS = delete(dead_events).where(
    ~select(events.c.sequence).where(events.c.sequence == dead_events.c.sequence).exists()
)


class SqlEventPartitions:
    async def create(self, session: AsyncConnection) -> None:
        """Create the partitions for the months of the events in the outbox."""
        await session.execute(LOCK)
        for row in await fetch_all(session, MONTHS_IN_OUTBOX):
            await _create(session, row.month)

    async def before(self, session: SqlSession, moment: datetime) -> list[str]:
        """The names of the partitions that have only events from before the moment."""
        names = [row.name for row in await fetch_all(session, PARTITIONS, parent=events.fullname)]
        return [name for name in names if _end_of(name) <= moment]

    async def has_unpublished(self, session: AsyncConnection, partition: str) -> bool:
        published = select(event_cursors.c.sequence).where(event_cursors.c.name == PUBLISHED)
        last: int | None = await session.scalar(
            text(f"SELECT max(sequence) FROM {SCHEMA}.{partition}")  # noqa: S608 - a name from the catalog
        )
        return (last or 0) > (await session.scalar(published) or 0)

    async def drop(self, session: AsyncConnection, partition: str) -> None:
        """Drop a partition, its events and their dead letters."""
        await session.execute(text(f"DROP TABLE {SCHEMA}.{partition}"))
        await session.execute(FORGET_DEAD_EVENTS)


async def _create(session: AsyncConnection, month: datetime) -> None:
    name = f"{SCHEMA}.events_{month:%Y_%m}"
    if await session.scalar(select(func.to_regclass(name))) is not None:
        return
    # Attached, because CREATE TABLE … PARTITION OF would wait for every reader of the table.
    await session.execute(text(f"CREATE TABLE {name} (LIKE {events.fullname} INCLUDING ALL)"))
    await session.execute(
        text(
            f"ALTER TABLE {events.fullname} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{month:%Y-%m-%d}+00') TO ('{_next(month):%Y-%m-%d}+00')"
        )
    )


def _next(month: datetime) -> datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def _end_of(partition: str) -> datetime:
    named = _PARTITION.fullmatch(partition)
    if named is None:  # attached by an operator, who decides when it is dropped
        return datetime.max.replace(tzinfo=UTC)
    return _next(datetime(int(named[1]), int(named[2]), 1, tzinfo=UTC))
