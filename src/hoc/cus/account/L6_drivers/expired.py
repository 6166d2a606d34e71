"""Rows that have served their time: counters of past days, keys and ids, hours out of statistics."""

from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Date,
    Executable,
    Integer,
    SmallInteger,
    Table,
    cast,
    delete,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L6_drivers.statements import SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.tables import (
    account_registrations,
    idempotency_keys,
    inbound_messages,
    invitation_limits,
    recipient_limits,
)

ADVISORY_LOCK = 7_463_120_002
BEFORE = param("before", DateTime(timezone=True))
DAY_BEFORE = cast(BEFORE, Date)  # in UTC, as sessions are


def _batch(table: Table, is_expired: ColumnElement[bool]) -> Executable:
    key = list(table.primary_key)
    some = select(*key).where(is_expired).limit(param("batch", Integer))
    # Judged again outside: an expired key may be taken anew while this waits for its row.
    return delete(table).where(tuple_(*key).in_(some), is_expired).returning(key[0])


TENANT_COUNTERS = _batch(invitation_limits, invitation_limits.c.day < DAY_BEFORE)
RECIPIENT_COUNTERS = _batch(recipient_limits, recipient_limits.c.day < DAY_BEFORE)
IDEMPOTENCY_KEYS = _batch(idempotency_keys, idempotency_keys.c.created_at < BEFORE)
REGISTRATIONS = _batch(account_registrations, account_registrations.c.hour < BEFORE)
INBOUND_MESSAGES = _batch(inbound_messages, inbound_messages.c.received_at < BEFORE)


def _fold() -> Executable:
    """Put the shards of hours that have passed, which nobody adds to any more, together in one row each."""
    table = account_registrations
    apart = delete(table).where(table.c.shard != 0, table.c.hour < BEFORE).returning(table).cte("apart")
    sums = select(apart.c.hour, literal(0, SmallInteger), func.sum(apart.c.accounts)).group_by(apart.c.hour)
    together = insert(table).from_select(["hour", "shard", "accounts"], sums)
    return together.on_conflict_do_update(
        index_elements=[table.c.hour, table.c.shard],
        set_={"accounts": table.c.accounts + together.excluded.accounts},
    ).returning(table.c.hour)


FOLD_REGISTRATIONS = _fold()

TAKE_TURN = select(func.pg_try_advisory_xact_lock(ADVISORY_LOCK).label("is_mine"))


class SqlExpired:
    async def delete(self, session: SqlSession, batch: Executable, *, before: datetime, limit: int) -> int:
        """Delete up to ``limit`` rows; how many. Nothing while another process is at it."""
        if not await _take_turn(session):
            return 0
        return len(await fetch_all(session, batch, before=before, batch=limit))

    async def fold_registrations(self, session: SqlSession, *, before: datetime) -> None:
        """Of hours before that one, unless another process is at it."""
        if await _take_turn(session):
            await fetch_all(session, FOLD_REGISTRATIONS, before=before)


async def _take_turn(session: SqlSession) -> bool:
    turn = await fetch_one(session, TAKE_TURN)
    return turn is not None and turn.is_mine
