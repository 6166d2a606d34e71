"""Deleting rows that are no longer needed: counters of past days, keys, ids, hours out of statistics."""

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

from hoc.cus.account.L6_drivers.advisory_locks import AdvisoryLock
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.tables import (
    account_registrations,
    email_changes,
    idempotency_keys,
    inbound_messages,
    invitation_limits,
    recipient_limits,
    tenant_creations,
    usage_days,
    webhook_attempts,
)
from hoc.cus.account.L6_drivers.usage_days import fold_usage_days

BEFORE = param("before", DateTime(timezone=True))
DAY_BEFORE = cast(BEFORE, Date)  # in UTC, the time zone of hoc's own sessions


def _batch(table: Table, is_expired: ColumnElement[bool]) -> Executable:
    key = list(table.primary_key)
    some = select(*key).where(is_expired).limit(param("batch", Integer))
    # The condition is checked twice: an expired key may be claimed again while this waits for its row.
    return delete(table).where(tuple_(*key).in_(some), is_expired).returning(key[0])


TENANT_COUNTERS = _batch(invitation_limits, invitation_limits.c.day < DAY_BEFORE)
RECIPIENT_COUNTERS = _batch(recipient_limits, recipient_limits.c.day < DAY_BEFORE)
CREATION_COUNTERS = _batch(tenant_creations, tenant_creations.c.day < DAY_BEFORE)
EMAIL_CHANGES = _batch(email_changes, email_changes.c.requested_at < BEFORE)
IDEMPOTENCY_KEYS = _batch(idempotency_keys, idempotency_keys.c.created_at < BEFORE)
REGISTRATIONS = _batch(account_registrations, account_registrations.c.hour < BEFORE)
USAGE_DAYS = _batch(usage_days, usage_days.c.day < DAY_BEFORE)
WEBHOOK_ATTEMPTS = _batch(webhook_attempts, webhook_attempts.c.attempted_at < BEFORE)
INBOUND_MESSAGES = _batch(inbound_messages, inbound_messages.c.received_at < BEFORE)


def _fold() -> Executable:
    """Merges the shards of past hours, which no statement changes any more, into one row for each hour."""
    table = account_registrations
    apart = delete(table).where(table.c.shard != 0, table.c.hour < BEFORE).returning(table).cte("apart")
    sums = select(apart.c.hour, literal(0, SmallInteger), func.sum(apart.c.accounts)).group_by(apart.c.hour)
    together = insert(table).from_select(["hour", "shard", "accounts"], sums)
    return together.on_conflict_do_update(
        index_elements=[table.c.hour, table.c.shard],
        set_={"accounts": table.c.accounts + together.excluded.accounts},
    ).returning(table.c.hour)


FOLD_REGISTRATIONS = _fold()

TRY_LOCK = select(func.pg_try_advisory_xact_lock(AdvisoryLock.HOUSEKEEPING).label("is_mine"))


class SqlRetention:
    async def delete(self, session: SqlSession, batch: Executable, *, before: datetime, limit: int) -> int:
        """Delete up to ``limit`` rows. Returns how many; 0 also when another process holds the lock."""
        if not await _try_lock(session):
            return 0
        return len(await fetch_all(session, batch, before=before, batch=limit))

    async def fold_registrations(self, session: SqlSession, *, before: datetime) -> None:
        """Merge the shards of the hours before, unless another process holds the lock."""
        if await _try_lock(session):
            await fetch_all(session, FOLD_REGISTRATIONS, before=before)

    async def fold_usage_days(self, session: SqlSession, *, now: datetime, limit: int) -> int:
        """Merge up to ``limit`` rows of past days. Returns how many; 0 also without the lock."""
        return await fold_usage_days(session, now=now, limit=limit) if await _try_lock(session) else 0


async def _try_lock(session: SqlSession) -> bool:
    lock = await fetch_one(session, TRY_LOCK)
    return lock is not None and lock.is_mine
