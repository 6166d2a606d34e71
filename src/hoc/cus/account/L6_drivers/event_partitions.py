"""The monthly partitions of the table of events: creating those that are needed, dropping old ones."""

import re
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, case, delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime

from hoc.cus.account.L6_drivers.advisory_locks import AdvisoryLock
from hoc.cus.account.L6_drivers.event_sequencing import PUBLISHED
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.tables import (
    SCHEMA,
    dead_events,
    event_cursors,
    events,
    outbox,
    webhook_endpoints,
)
from hoc.cus.account.L6_drivers.webhooks import IS_IDLE, LINE, position

MONTHS_AHEAD = 6
"""For how many months after this one partitions are made."""

_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_PARTITION = re.compile(r"events_(\d{4})_(\d{2})")

LOCK = select(func.pg_advisory_xact_lock(AdvisoryLock.EVENT_PARTITIONS))
MONTHS_IN_OUTBOX = select(func.date_trunc("month", outbox.c.time, "UTC").label("month")).distinct()
PARTITIONS = text(
    "SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = to_regclass(:given_parent) ORDER BY c.relname"
)
# Read from the catalog, because an operator may attach partitions with other names and bounds. The default
# partition has no bounds: it takes every event.
_BOUNDS = (
    "SELECT coalesce(CAST(found[1] AS timestamptz), '-infinity') AS lower,"  # noqa: S608 - constants
    " coalesce(CAST(found[2] AS timestamptz), 'infinity') AS upper"
    " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid, LATERAL regexp_match("
    "pg_get_expr(c.relpartbound, c.oid), $re$FROM [(]'([^']+)'[)] TO [(]'([^']+)'[)]$re$) AS found"
    f" WHERE i.inhparent = to_regclass('{events.fullname}')"
)
HAS_PARTITION_NOW = f"EXISTS (SELECT 1 FROM ({_BOUNDS}) AS bounds WHERE lower <= now() AND now() < upper)"  # noqa: S608 - constants
LAST_COVERED = text(f"SELECT max(upper) AS upper FROM ({_BOUNDS}) AS bounds")  # noqa: S608 - constants
IS_COVERED = text(
    f"SELECT EXISTS (SELECT 1 FROM ({_BOUNDS}) AS bounds WHERE lower < :upper AND :lower < upper)"  # noqa: S608 - constants
)
MAY_CREATE = text(
    f"SELECT has_schema_privilege('{SCHEMA}', 'CREATE') AND pg_has_role(c.relowner, 'USAGE')"  # noqa: S608 - constants
    f" FROM pg_class c WHERE c.oid = to_regclass('{events.fullname}')"
)
MAY_DROP = text(
    "SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c WHERE c.oid = to_regclass(:given_partition)"
)
WAIT_BRIEFLY = text("SET LOCAL lock_timeout = '2s'")  # others wait for their events meanwhile
# DROP TABLE takes this lock too. It is taken before the checks, so that no event comes in between.
HOLD_EVENTS = text(f"LOCK TABLE ONLY {events.fullname} IN ACCESS EXCLUSIVE MODE")
IS_AWAITED = select(
    select(outbox.c.position)
    .where(
        outbox.c.time >= param("start", DateTime(timezone=True)),
        outbox.c.time < param("end", DateTime(timezone=True)),
    )
    .exists()
)
PUBLISHED_UP_TO = select(event_cursors.c.sequence).where(event_cursors.c.name == PUBLISHED)
# A disabled endpoint keeps its position, since it resumes there. An idle one has had what is before the line.
SENT_UP_TO = select(
    func.min(case((IS_IDLE, position(LINE)), else_=webhook_endpoints.c.sequence)).label("sequence")
)
FORGET_DEAD_EVENTS = delete(dead_events).where(
    ~select(events.c.sequence).where(events.c.sequence == dead_events.c.sequence).exists()
)


def create_partitions_ahead(connection: Connection, now: datetime) -> bool:
    """Create the partitions of this month and the next six that are missing.

    Returns False if the role may not create them. Executes no DDL when none is missing.
    """
    if connection.scalar(text(f"SELECT to_regclass('{events.fullname}')")) is None:
        return True  # no table of events: this was a downgrade
    month = datetime(now.year, now.month, 1, tzinfo=UTC)
    missing: list[datetime] = []
    for _ in range(MONTHS_AHEAD + 1):
        following = _next(month)
        if not connection.scalar(IS_COVERED, {"lower": month, "upper": following}):
            missing.append(month)
        month = following
    if not missing:
        return True
    if not connection.scalar(MAY_CREATE):
        return False
    connection.execute(LOCK)
    for each in missing:
        _create(connection, each)
    return True


class SqlEventPartitions:
    async def create_ahead(self, session: AsyncConnection, now: datetime) -> bool:
        """`create_partitions_ahead`, in a transaction of the caller."""
        return await session.run_sync(create_partitions_ahead, now)

    async def may_create(self, session: AsyncConnection) -> bool:
        return bool(await session.scalar(MAY_CREATE))

    async def create(self, session: AsyncConnection) -> None:
        """Create the partitions for the months of the events in the outbox."""
        await session.execute(LOCK)
        for row in await fetch_all(session, MONTHS_IN_OUTBOX):
            await session.run_sync(_create, row.month)

    async def before(self, session: SqlSession, moment: datetime) -> list[str]:
        """The names of the partitions that have only events from before the moment."""
        names = [row.name for row in await fetch_all(session, PARTITIONS, parent=events.fullname)]
        return [name for name in names if _end_of(name) <= moment]

    async def has_unpublished(self, session: AsyncConnection, partition: str) -> bool:
        """Whether it has events that are not published, or that a webhook endpoint has not passed."""
        last: int | None = await session.scalar(
            text(f"SELECT max(sequence) FROM {SCHEMA}.{partition}")  # noqa: S608 - a name from the catalog
        )
        published: int = await session.scalar(PUBLISHED_UP_TO) or 0
        sent: int | None = await session.scalar(SENT_UP_TO)
        return (last or 0) > (published if sent is None else min(published, sent))

    async def may_drop(self, session: AsyncConnection, partition: str) -> bool:
        """Whether this role owns the partition, or is a member of the role that does."""
        return bool(await session.scalar(MAY_DROP, {"given_partition": f"{SCHEMA}.{partition}"}))

    async def drop_passed(self, session: AsyncConnection, partition: str) -> bool:
        """Drop a month if all its events are numbered and published, and webhook endpoints have passed them.

        Returns False, and changes nothing, if not. The table of events stays locked to the transaction's end.
        """
        await session.execute(WAIT_BRIEFLY)
        await session.execute(LOCK)
        await session.execute(HOLD_EVENTS)
        end = _end_of(partition)
        if partition not in await self.before(session, end):  # another process has dropped it
            return False
        month = {"given_start": _start_of(partition), "given_end": end}
        if await session.scalar(IS_AWAITED, month) or await self.has_unpublished(session, partition):
            return False
        await self.drop(session, partition)
        return True

    async def drop(self, session: AsyncConnection, partition: str) -> None:
        """Drop a partition, its events and their dead letters."""
        await session.execute(text(f"DROP TABLE {SCHEMA}.{partition}"))
        await session.execute(FORGET_DEAD_EVENTS)


def _create(connection: Connection, month: datetime) -> None:
    name = f"{SCHEMA}.events_{month:%Y_%m}"
    if connection.scalar(select(func.to_regclass(name))) is not None:
        return
    # Attached, because CREATE TABLE … PARTITION OF would wait for every reader of the table.
    connection.execute(text(f"CREATE TABLE {name} (LIKE {events.fullname} INCLUDING ALL)"))
    connection.execute(
        text(
            f"ALTER TABLE {events.fullname} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{month:%Y-%m-%d}+00') TO ('{_next(month):%Y-%m-%d}+00')"
        )
    )


def _next(month: datetime) -> datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def _start_of(partition: str) -> datetime:
    named = _PARTITION.fullmatch(partition)
    if named is None:  # attached by an operator, who decides when it is dropped
        return _NEVER
    return datetime(int(named[1]), int(named[2]), 1, tzinfo=UTC)


def _end_of(partition: str) -> datetime:
    start = _start_of(partition)
    return start if start == _NEVER else _next(start)
