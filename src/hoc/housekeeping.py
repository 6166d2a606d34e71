"""Deletes expired rows and merges sharded counters. Safe to run on several servers at once."""

import logging
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

from sqlalchemy import Executable

from hoc.concurrency.background import BackgroundLoop
from hoc.cus.account.L5_engines.idempotency import LIFETIME
from hoc.cus.account.L5_engines.session import Clock, utc_now
from hoc.cus.account.L5_engines.usage import USAGE_DAYS_KEPT
from hoc.cus.account.L6_drivers.errors import explain_outage
from hoc.cus.account.L6_drivers.event_partitions import SqlEventPartitions
from hoc.cus.account.L6_drivers.retention import (
    CREATION_COUNTERS,
    EMAIL_CHANGES,
    IDEMPOTENCY_KEYS,
    INBOUND_MESSAGES,
    RECIPIENT_COUNTERS,
    REGISTRATIONS,
    TENANT_COUNTERS,
    USAGE_DAYS,
    WEBHOOK_ATTEMPTS,
    SqlRetention,
)
from hoc.database import Database
from hoc.retention import Retention

BATCH = 1_000
INTERVAL_SECONDS = 3_600.0
WEBHOOK_ATTEMPTS_DAYS = 14

# Two days, because a server whose clock is behind still uses yesterday's counters.
_KEPT = (
    (TENANT_COUNTERS, timedelta(days=2)),
    (RECIPIENT_COUNTERS, timedelta(days=2)),
    (CREATION_COUNTERS, timedelta(days=2)),
    (IDEMPOTENCY_KEYS, LIFETIME),
    # The address that was asked for is personal; the account has it, or does not.
    (EMAIL_CHANGES, timedelta(days=30)),
    # Statistics look 30 days back.
    (REGISTRATIONS, timedelta(days=32)),
    (USAGE_DAYS, USAGE_DAYS_KEPT),
    # JetStream redelivers for minutes only, but a publisher may publish an old message again.
    (INBOUND_MESSAGES, timedelta(days=90)),
)

_log = logging.getLogger("hoc.housekeeping")


class Housekeeping:
    """Deletes what is expired or too old, and creates partitions ahead, when it starts and every hour."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock = utc_now,
        batch: int = BATCH,
        webhook_attempts_days: int = WEBHOOK_ATTEMPTS_DAYS,
        retention: Retention | None = None,
    ) -> None:
        attempts_kept = timedelta(days=webhook_attempts_days)
        self._kept = (*_KEPT, (WEBHOOK_ATTEMPTS, attempts_kept))
        self._database = database
        self._clock = clock
        self._batch = batch
        self._expired = SqlRetention()
        self._retention = retention
        self._partitions = SqlEventPartitions()
        self._has_warned = False

    def running(self) -> AbstractAsyncContextManager[None]:
        return BackgroundLoop(
            self._tidy,
            name="hoc-housekeeping",
            subject="housekeeping",
            pause_seconds=INTERVAL_SECONDS,
            explain=explain_outage,
            logger=_log,
        ).running()

    async def delete_expired(self) -> int:
        """Merge counters and delete all expired rows, batch by batch. Returns how many rows were deleted."""
        now = self._clock()
        async with self._database.transaction() as session:
            await self._expired.fold_registrations(session, before=now - timedelta(hours=2))
        while await self._fold_usage_days(now):
            pass
        deleted = 0
        for batch, kept in self._kept:
            while found := await self._delete(batch, now - kept):
                deleted += found
        return deleted

    async def create_partitions(self) -> None:
        """Create the partitions of the coming months' events; log once if the role may not."""
        async with self._database.transaction() as session:
            created = await self._partitions.create_ahead(session, self._clock())
        if not created and not self._has_warned:
            _log.warning(
                "partitions of the coming months' events are missing, and this role may not create them;"
                " run `hoc migrate` as the tables' owner"
            )
        self._has_warned = not created

    async def _tidy(self) -> None:
        await self.create_partitions()
        await self.delete_expired()
        if self._retention is not None:
            await self._retention.apply()

    async def _fold_usage_days(self, now: datetime) -> int:
        async with self._database.transaction() as session:
            return await self._expired.fold_usage_days(session, now=now, limit=self._batch)

    async def _delete(self, batch: Executable, before: datetime) -> int:
        async with self._database.transaction() as session:
            return await self._expired.delete(session, batch, before=before, limit=self._batch)
