"""Deletes what has served its time, and puts old counts together; any number of servers may, side by side."""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

from sqlalchemy import Executable

from hoc.background import in_background
from hoc.cus.account.L5_engines.idempotency import LIFETIME
from hoc.cus.account.L5_engines.session import Clock, utc_now
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L6_drivers.expired import (
    IDEMPOTENCY_KEYS,
    INBOUND_MESSAGES,
    RECIPIENT_COUNTERS,
    REGISTRATIONS,
    TENANT_COUNTERS,
    SqlExpired,
)
from hoc.database import Database

BATCH = 1_000
INTERVAL_SECONDS = 3_600.0

# Yesterday's counters still serve a server whose clock is behind.
_KEPT = (
    (TENANT_COUNTERS, timedelta(days=2)),
    (RECIPIENT_COUNTERS, timedelta(days=2)),
    (IDEMPOTENCY_KEYS, LIFETIME),
    # Statistics look 30 days back.
    (REGISTRATIONS, timedelta(days=32)),
    # JetStream redelivers for minutes; somebody may publish anew what they published a month ago.
    (INBOUND_MESSAGES, timedelta(days=90)),
)

_log = logging.getLogger("hoc.housekeeping")


class Housekeeping:
    """Tidies when it starts and every hour."""

    def __init__(self, database: Database, *, clock: Clock = utc_now, batch: int = BATCH) -> None:
        self._database = database
        self._clock = clock
        self._batch = batch
        self._expired = SqlExpired()

    def running(self) -> AbstractAsyncContextManager[None]:
        return in_background(self._run(), name="hoc-housekeeping")

    async def tidy(self) -> int:
        """Do all of it, a batch at a time; how many rows were deleted."""
        now = self._clock()
        async with self._database.transaction() as session:
            await self._expired.fold_registrations(session, before=now - timedelta(hours=2))
        deleted = 0
        for batch, kept in _KEPT:
            while found := await self._delete(batch, now - kept):
                deleted += found
        return deleted

    async def _delete(self, batch: Executable, before: datetime) -> int:
        async with self._database.transaction() as session:
            return await self._expired.delete(session, batch, before=before, limit=self._batch)

    async def _run(self) -> None:
        while True:
            try:
                await self.tidy()
            except UnavailableError:
                _log.warning("housekeeping waits: the database is unavailable")
            except Exception:  # noqa: BLE001 - whatever it was, the next round must come
                _log.exception("housekeeping waits: it failed")
            await asyncio.sleep(INTERVAL_SECONDS)
