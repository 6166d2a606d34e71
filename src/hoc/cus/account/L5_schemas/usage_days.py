"""What a tenant used on each day."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class UsageDayResult:
    """``day`` is a day in UTC."""

    day: date
    runs: int
    tokens: int


@dataclass(frozen=True)
class UsageDaysResult:
    """Every day of the range, oldest first; a day without usage has zeros."""

    days: list[UsageDayResult]
