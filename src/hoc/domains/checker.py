"""The checker: looks up the records of domains that are due, several at once.

A domain is claimed before it is looked up, so that any number of checkers share the work. A checker that dies
leaves its domains to the others once their lease has ended.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from typing import Final, TypeAlias

from hoc.concurrency.background import BackgroundLoop
from hoc.cus.account.L5_engines.domain_checks import DomainChecks
from hoc.cus.account.L5_engines.session import Clock, utc_now
from hoc.cus.account.L5_schemas.domains import DueDomain
from hoc.cus.account.L5_schemas.errors import ConflictError
from hoc.cus.account.L5_schemas.values import DomainLookup
from hoc.cus.account.L6_drivers.domain_checks import SqlDomainChecks
from hoc.cus.account.L6_drivers.errors import explain_outage
from hoc.database import Database

AT_ONCE: Final = 8
LEASE: Final = timedelta(minutes=2)
POLL_SECONDS: Final = 5.0

Lookup: TypeAlias = Callable[[str, str], Awaitable[DomainLookup]]

_log = logging.getLogger("hoc.domains")


class DomainChecker:
    def __init__(
        self, database: Database, checks: DomainChecks, lookup: Lookup, *, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._checks = checks
        self._lookup = lookup
        self._clock = clock
        self._rows = SqlDomainChecks()
        self._loop = BackgroundLoop(
            self.check_due,
            name="hoc-domains",
            subject="checks of domains",
            pause_seconds=POLL_SECONDS,
            explain=explain_outage,
            logger=_log,
        )

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._loop.running()

    def wake(self) -> None:
        """Check what is due now instead of at the next poll."""
        self._loop.wake()

    async def check_due(self) -> bool:
        """Check up to eight domains that are due. Returns whether more may be."""
        now = self._clock()
        async with self._database.transaction() as session:
            due = await self._rows.claim_due(session, now=now, lease_until=now + LEASE, batch=AT_ONCE)
        outcomes = await asyncio.gather(*map(self._check, due), return_exceptions=True)
        for problem in outcomes:
            if problem is not None:
                raise problem
        return len(due) == AT_ONCE

    async def _check(self, due: DueDomain) -> None:
        found = await self._lookup(due.record_name, due.record_value)
        # Where another tenant proves the domain at the same moment, the next check finds that it has it.
        with suppress(ConflictError):
            await self._database.transact(
                lambda session: self._checks.record(session, due.tenant_id, due.domain, found)
            )
