"""Rows that have served their time: counters of past days, keys and ids, hours out of statistics."""

from datetime import datetime

from sqlalchemy import ColumnElement, Date, Executable, Integer, Table, cast, delete, func, select, tuple_
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

TAKE_TURN = select(func.pg_try_advisory_xact_lock(ADVISORY_LOCK).label("is_mine"))


class SqlExpired:
    async def delete(self, session: SqlSession, batch: Executable, *, before: datetime, limit: int) -> int:
        """Delete up to ``limit`` rows; how many. Nothing while another process is at it."""
        turn = await fetch_one(session, TAKE_TURN)
        if turn is None or not turn.is_mine:
            return 0
        return len(await fetch_all(session, batch, before=before, batch=limit))
