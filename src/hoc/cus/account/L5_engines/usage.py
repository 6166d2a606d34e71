"""Metering: recording usage and enforcing the quotas, in one step."""

from datetime import date, datetime, timedelta
from typing import Protocol

from hoc.cus.account.L5_engines.numbers import why_not_whole
from hoc.cus.account.L5_engines.quotas import no_such_active_tenant, quota_exceeded
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.port_types import QuotaRefusal
from hoc.cus.account.L5_schemas.results import UsageResult
from hoc.cus.account.L5_schemas.usage_days import UsageDayResult, UsageDaysResult
from hoc.cus.account.L5_schemas.values import FIRST_YEAR, LAST_YEAR

MAX_INCREMENT = 2**40
MAX_DAYS = 366
SHOWN_DAYS = 30
USAGE_DAYS_KEPT = timedelta(days=400)
"""How long the usage of a day is kept: 13 months, to compare a month with that of the year before."""


class UsageStore(Protocol):
    async def add(
        self, session: Session, tenant_id: str, *, runs: int, tokens: int, day: date
    ) -> UsageResult | QuotaRefusal | None:
        """Add to an active tenant's counters. A refused call adds nothing. None: no such active tenant."""
        ...

    async def current(self, session: Session, tenant_id: str, day: date) -> UsageResult | None: ...


class UsageDayStore(Protocol):
    async def by_day(
        self, session: Session, tenant_id: str, first: date, last: date
    ) -> dict[date, UsageDayResult]:
        """The days with usage, from the first to the last."""
        ...


class Usage:
    def __init__(self, usage: UsageStore, days: UsageDayStore, *, clock: Clock = utc_now) -> None:
        self._usage = usage
        self._days = days
        self._clock = clock

    async def record(
        self, session: Session, tenant_id: str, *, runs: int = 0, tokens: int = 0
    ) -> UsageResult:
        """Count runs and tokens against the tenant's quotas. Days and months begin at midnight UTC.

        The call is part of the caller's transaction. It waits for another one of the tenant only if that may
        free the last room in a quota. The result has what is committed, and what this transaction counted.

        Raises:
            InvalidInputError
            LimitExceededError: a quota would be exceeded, and nothing was counted. ``retry_after`` is the
                number of seconds until the day, or the month, is over.
            NotFoundError: the tenant does not exist, or is not active.
        """
        for name, value in (("runs", runs), ("tokens", tokens)):
            if wrong := why_not_whole(value, 0, MAX_INCREMENT):
                raise InvalidInputError.of(name, wrong)
        now = self._clock()
        if runs or tokens:
            counted = await self._usage.add(session, tenant_id, runs=runs, tokens=tokens, day=now.date())
        else:
            counted = await self._usage.current(session, tenant_id, now.date())
        if counted is None:
            raise no_such_active_tenant()
        if isinstance(counted, QuotaRefusal):
            raise quota_exceeded(counted, retry_after=_seconds_left(now, counted.quota))
        return counted

    async def by_day(
        self, session: Session, tenant_id: str, *, first: date | None = None, last: date | None = None
    ) -> UsageDaysResult:
        """What was used on each UTC day from ``first`` to ``last``, at most 366 days, with zeros.

        Without ``last``, it is today; without ``first``, there are 30 days. Days are kept for 400 days.

        Raises InvalidInputError.
        """
        last = self._clock().date() if last is None else _within_years("to", last)
        first = last - timedelta(days=SHOWN_DAYS - 1) if first is None else _within_years("from", first)
        days = (last - first).days + 1
        if days < 1:
            raise InvalidInputError.of_parameter("from", "must not be after to")
        if days > MAX_DAYS:
            raise InvalidInputError.of_parameter("from", f"must be at most {MAX_DAYS} days before the end")
        used = await self._days.by_day(session, tenant_id, first, last)
        every = (first + timedelta(days=number) for number in range(days))
        return UsageDaysResult([used.get(day) or UsageDayResult(day, 0, 0) for day in every])


def _within_years(name: str, day: date) -> date:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise InvalidInputError.of_parameter(name, f"must be within the years {FIRST_YEAR} to {LAST_YEAR}")
    return day


def _seconds_left(now: datetime, quota: str) -> int:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = 1 if quota == "max_runs_per_day" else _days_left_in_month(now)
    return days * 86_400 - int((now - midnight).total_seconds())


def _days_left_in_month(now: datetime) -> int:
    next_month = date(now.year + now.month // 12, now.month % 12 + 1, 1)
    return (next_month - now.date()).days
