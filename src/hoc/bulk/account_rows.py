"""Validates a row of a file by the rules of the services, and turns it into a row to store."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final, NoReturn, TypeAlias

import orjson

from hoc.bulk.files import Row
from hoc.cus.account.L5_engines.account_requests import MAX_PROVIDER_LENGTH
from hoc.cus.account.L5_engines.email_address import fold, parse_email
from hoc.cus.account.L5_engines.merge_patches import checked_patch
from hoc.cus.account.L5_engines.profiles import canonical_locale, known_timezone
from hoc.cus.account.L5_engines.text import clean_line, is_account_id
from hoc.cus.account.L5_engines.times import utc_time
from hoc.cus.account.L5_engines.urls import https_url
from hoc.cus.account.L5_schemas.errors import InvalidInputError
from hoc.cus.account.L6_drivers.bulk_accounts import EXPORTED

REQUIRED: Final = ("user_id", "email", "name")
COLUMNS: Final = EXPORTED

AccountRow: TypeAlias = tuple[Any, ...]
"""The values of the columns `hoc.cus.account.L6_drivers.bulk_accounts.STAGED`."""

_BOOLEANS: Final = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def account_row(row: Row, line: int, now: datetime, *, special_use: bool = False) -> AccountRow:
    """Return the row to store; InvalidInputError names the wrong column without its value."""
    user_id = _text(row, "user_id")
    if user_id is None or not is_account_id(user_id):
        _reject("user_id", "must be 1 to 255 visible characters without /")
    email = _text(row, "email")
    if email is None:
        _reject("email", "is missing")
    address = parse_email(email, special_use=special_use)
    if "name" not in row:
        _reject("name", "is missing")
    # The name may be empty, because such an account can exist and be exported.
    name = _optional(row, "name", lambda value: clean_line("name", value))
    is_active = _boolean(row, "is_active", default=True)
    deleted_at = _timestamp(row, "deleted_at")
    if is_active and deleted_at is not None:
        _reject("deleted_at", "must be empty for an active account")
    has_generated_id = _boolean(row, "has_generated_id", default=False)
    is_claimed = _boolean(row, "is_claimed", default=True)
    if not (is_claimed or has_generated_id):
        _reject("is_claimed", "must be true unless has_generated_id is true")
    return (
        line,
        user_id,
        address.given,
        None if _boolean(row, "email_lost", default=False) else address.key,
        name,
        None if name is None else fold(name),
        is_active,
        _timestamp(row, "created_at") or now,
        _boolean(row, "email_verified", default=False),
        _optional(row, "timezone", known_timezone),
        _optional(row, "locale", canonical_locale),
        _optional(row, "avatar_url", partial(https_url, "avatar_url")),
        _optional(
            row, "oauth_provider", partial(clean_line, "oauth_provider", max_length=MAX_PROVIDER_LENGTH)
        ),
        _timestamp(row, "last_login_at"),
        has_generated_id,
        is_claimed,
        deleted_at,
        _preferences(row),
    )


def _reject(column: str, detail: str) -> NoReturn:
    raise InvalidInputError.of(column, detail)


def _text(row: Row, column: str) -> str | None:
    value = row.get(column)
    if value is not None and not isinstance(value, str):
        _reject(column, "must be text")
    return value


def _optional(row: Row, column: str, checked: Callable[[str], str]) -> str | None:
    value = _text(row, column)
    return None if value is None else checked(value)


def _boolean(row: Row, column: str, *, default: bool) -> bool:
    value = row.get(column)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    known = _BOOLEANS.get(value.lower()) if isinstance(value, str) else None
    if known is None:
        _reject(column, "must be true or false")
    return known


def _timestamp(row: Row, column: str) -> datetime | None:
    value = _text(row, column)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        _reject(column, "must be an ISO 8601 time with its zone, such as 2026-01-31T09:30:00Z")
    return utc_time(column, moment)


def _preferences(row: Row) -> str:
    value: dict[str, Any] | list[Any] | str | float | None = row.get("preferences")
    if value is None:
        return "{}"
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            _reject("preferences", "must be JSON")
    if not isinstance(value, dict):
        _reject("preferences", "must be a JSON object")
    return orjson.dumps(checked_patch("preferences", value)).decode()
