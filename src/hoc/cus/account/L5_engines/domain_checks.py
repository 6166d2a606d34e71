"""What a check of a domain's record in DNS decides: whether the domain is a tenant's, fails, or is lost."""

from datetime import datetime, timedelta
from typing import Final, Protocol

from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_engines.text import choice
from hoc.cus.account.L5_schemas.domains import CheckedDomain
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.values import (
    CLOSED_TENANT,
    AnyDomainLookup,
    DomainLookup,
    DomainProblem,
    DomainStatus,
)

FIRST_CHECK: Final = timedelta(minutes=5)
"""How long after the claim. A check before the record is there would leave its absence in DNS caches."""
PROVED_AGAIN: Final = timedelta(hours=1)
"""How often a verified domain whose record is missing is checked."""
SILENCE: Final = timedelta(days=30)
"""How long a domain stays verified while its name servers are silent. Then its record counts as missing."""
LOOKED_FOR: Final = timedelta(days=14)
"""How long the record of a claimed domain is looked for without a request."""
_LATEST: Final = timedelta(hours=6)


class DomainCheckStore(Protocol):
    async def lock(self, session: Session, tenant_id: str, domain: str) -> CheckedDomain | None: ...

    async def settle(
        self,
        session: Session,
        tenant_id: str,
        domain: str,
        problem: DomainProblem | None,
        now: datetime,
        *,
        due_at: datetime | None,
    ) -> None:
        """Store what a check found, where that changes neither the status nor the time of the failure.

        Without a problem, the domain does not fail any more.
        """
        ...

    async def verify(
        self, session: Session, tenant_id: str, domain: str, now: datetime, *, due_at: datetime
    ) -> bool:
        """Make the domain the tenant's. False: it is another tenant's."""
        ...

    async def fail(
        self,
        session: Session,
        tenant_id: str,
        domain: str,
        problem: DomainProblem,
        now: datetime,
        *,
        due_at: datetime,
        lost_at: datetime,
    ) -> None:
        """Have a verified domain fail from now on."""
        ...

    async def lose(
        self, session: Session, tenant_id: str, domain: str, problem: DomainProblem | None, now: datetime
    ) -> None:
        """Make a verified domain a claimed one, which is checked when that is asked for."""
        ...

    async def queue_mails(
        self, session: Session, tenant_id: str, domain: str, now: datetime, *, is_lost: bool
    ) -> None:
        """Queue a mail to each of the tenant's active owners."""
        ...


class DomainChecks:
    def __init__(
        self, checks: DomainCheckStore, *, options: Options | None = None, clock: Clock = utc_now
    ) -> None:
        self._checks = checks
        self._options = options or Options()
        self._clock = clock

    @records("domain.verified", "domain.failing", "domain.lost")
    async def record(self, session: Session, tenant_id: str, domain: str, found: AnyDomainLookup) -> None:
        """Decide by what was found in DNS. This asks nobody for rights.

        A verified domain whose record is missing fails first, which its owners are mailed, and is lost when
        it has failed for the configured time. A silent DNS server makes no domain fail for 30 days.

        Raises InvalidInputError or ConflictError (another tenant proves the domain at the same time).
        """
        lookup = choice("found", found, DomainLookup)
        now = self._clock()
        row = await self._checks.lock(session, tenant_id, domain)
        if row is None:
            return
        is_verified = row.status is DomainStatus.VERIFIED
        if row.tenant_status is None or row.tenant_status in CLOSED_TENANT:
            if is_verified:
                await self._checks.lose(session, tenant_id, domain, None, now)
            else:
                await self._checks.settle(session, tenant_id, domain, None, now, due_at=None)
        elif lookup is DomainLookup.FOUND:
            await self._record_found(session, tenant_id, domain, row, now)
        elif not is_verified:
            due_at = _looked_for_at(row, now)
            await self._checks.settle(
                session, tenant_id, domain, DomainProblem(lookup.value), now, due_at=due_at
            )
        else:
            problem = DomainProblem(lookup.value)
            await self._record_missing(session, tenant_id, domain, row, now, problem=problem)

    async def _record_found(
        self, session: Session, tenant_id: str, domain: str, row: CheckedDomain, now: datetime
    ) -> None:
        again = now + self._options.domain_check_interval
        if row.status is DomainStatus.VERIFIED:
            await self._checks.settle(session, tenant_id, domain, None, now, due_at=again)
        elif not await self._checks.verify(session, tenant_id, domain, now, due_at=again):
            due_at = _looked_for_at(row, now)
            await self._checks.settle(session, tenant_id, domain, DomainProblem.TAKEN, now, due_at=due_at)

    async def _record_missing(
        self,
        session: Session,
        tenant_id: str,
        domain: str,
        row: CheckedDomain,
        now: datetime,
        *,
        problem: DomainProblem,
    ) -> None:
        soon = now + min(PROVED_AGAIN, self._options.domain_check_interval)
        is_silent = problem is DomainProblem.UNREACHABLE and now - (row.found_at or now) < SILENCE
        if is_silent or (row.failing_since and now - row.failing_since < self._options.domain_grace):
            await self._checks.settle(session, tenant_id, domain, problem, now, due_at=soon)
        elif row.failing_since is None:
            lost_at = now + self._options.domain_grace
            await self._checks.fail(session, tenant_id, domain, problem, now, due_at=soon, lost_at=lost_at)
            await self._queue_mails(session, tenant_id, domain, now, is_lost=False)
        else:
            await self._checks.lose(session, tenant_id, domain, problem, now)
            await self._queue_mails(session, tenant_id, domain, now, is_lost=True)

    async def _queue_mails(
        self, session: Session, tenant_id: str, domain: str, now: datetime, *, is_lost: bool
    ) -> None:
        if self._options.send_mail:
            await self._checks.queue_mails(session, tenant_id, domain, now, is_lost=is_lost)


def _looked_for_at(row: CheckedDomain, now: datetime) -> datetime | None:
    """When the record of a claimed domain is looked for again: less and less often, and at last no more."""
    age = now - row.created_at
    return now + max(FIRST_CHECK, min(age / 4, _LATEST)) if age < LOOKED_FOR else None
