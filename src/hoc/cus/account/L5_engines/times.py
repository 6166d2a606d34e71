"""Checks of times that callers, files and messages give."""

from collections.abc import Callable
from datetime import UTC, datetime

from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L5_schemas.values import FIRST_YEAR, LAST_YEAR

Refusal = Callable[[str, str], InvalidInputError]


def utc_time(name: str, value: datetime, refusal: Refusal = InvalidInputError.of) -> datetime:
    """Return the time in UTC. Raises InvalidInputError: no zone, or not in the years 1900 to 2999."""
    if value.tzinfo is None:
        raise refusal(name, "must carry a time zone, as in 2026-03-14T10:00:00Z")
    try:
        moment = value.astimezone(UTC)
    except OverflowError:
        moment = None
    if moment is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise refusal(name, f"must be within the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment
