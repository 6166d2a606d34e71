"""Metering: recording usage and enforcing the quotas, in one statement."""

from datetime import date, datetime
from typing import Protocol

from hoc.cus.account.L5_engines.numbers import why_not_whole
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_schemas.errors import InvalidInputError, LimitExceededError, NotFoundError
from hoc.cus.account.L5_schemas.results import UsageResult

MAX_INCREMENT = 2**40


class UsageStore(Protocol):
    async def add(
        self, session: Session, tenant_id: str, *, runs: int, tokens: int, day: date
    ) -> UsageResult | None:
        """Add to an active tenant's counters. None: a quota would be exceeded, and nothing was added."""
        ...

    async def current(self, session: Session, tenant_id: str, day: date) -> UsageResult | None: ...


class Usage:
    def __init__(self, usage: UsageStore, *, clock: Clock = utc_now) -> None:
        self._usage = usage
        self._clock = clock

    async def record(
        self, session: Session, tenant_id: str, *, runs: int = 0, tokens: int = 0
    ) -> UsageResult:
        """Count runs and tokens against the tenant's quotas. Days and months begin at midnight UTC.

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
        counted = await self._usage.add(session, tenant_id, runs=runs, tokens=tokens, day=now.date())
        if counted is not None:
            return counted
        current = await self._usage.current(session, tenant_id, now.date())
        if current is None:
            raise NotFoundError("There is no such active tenant.")
        raise _quota_exceeded(current, runs, now)


def _quota_exceeded(current: UsageResult, runs: int, now: datetime) -> LimitExceededError:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if runs and current.runs_today + runs > current.max_runs_per_day:
        message = f"The quota of {current.max_runs_per_day} runs a day is used up."
        days = 1
    else:
        message = f"The quota of {current.max_tokens_per_month} tokens a month is used up."
        days = _days_left_in_month(now)
    wait = days * 86_400 - int((now - midnight).total_seconds())
    return LimitExceededError(message, code="quota_exceeded", retry_after=wait)


def _days_left_in_month(now: datetime) -> int:
    next_month = date(now.year + now.month // 12, now.month % 12 + 1, 1)
    return (next_month - now.date()).days
