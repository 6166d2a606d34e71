"""A user's own profile and preferences."""

from datetime import datetime
from typing import Any, Protocol, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from hoc.cus.account.L5_engines.email_address import fold
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_engines.text import clean_line
from hoc.cus.account.L5_schemas.errors import InvalidInputError, NotFoundError, StaleVersionError
from hoc.cus.account.L5_schemas.records import ProfileChange, ProfileChanged, Versioned
from hoc.cus.account.L5_schemas.results import ProfileResult, ProfileUpdateResult

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | bool | None"

MAX_PREFERENCES_BYTES = 16_384
MAX_PREFERENCES_DEPTH = 8


class ProfileStore(Protocol):
    async def find(
        self, session: Session, tenant_id: str, user_id: str
    ) -> Versioned[ProfileResult] | None: ...

    async def update(
        self, session: Session, user_id: str, change: ProfileChange, now: datetime, *, actor: str | None
    ) -> ProfileChanged | None:
        """Merge the preferences (RFC 7396) and set the rest, under the row's lock; None: no active account.

        Nothing is written when nothing would change, when the version is not the expected one, or when the
        merged preferences would be larger than the cap.
        """
        ...


class Profiles:
    def __init__(self, profiles: ProfileStore, *, clock: Clock = utc_now) -> None:
        self._profiles = profiles
        self._clock = clock

    async def get(self, session: Session, tenant_id: str, user_id: str) -> Versioned[ProfileResult]:
        found = await self._profiles.find(session, tenant_id, user_id)
        if found is None:
            raise NotFoundError("There is no such user in this tenant.")
        return found

    async def update(
        self,
        session: Session,
        user_id: str,
        *,
        display_name: str | None = None,
        timezone: str | None = None,
        preferences: dict[str, Any] | None = None,
        expected_version: int | None = None,
    ) -> Versioned[ProfileUpdateResult]:
        """Set what is given; preferences are merged (RFC 7396: null deletes a key)."""
        name = None if display_name is None else clean_line("display_name", display_name)
        change = ProfileChange(
            display_name=name,
            name_key=None if name is None else fold(name),
            timezone=None if timezone is None else known_timezone(timezone),
            preferences=checked_preferences({} if preferences is None else preferences),
            expected_version=expected_version,
            max_preferences_bytes=MAX_PREFERENCES_BYTES,
        )
        outcome = await self._profiles.update(session, user_id, change, self._clock(), actor=user_id)
        if outcome is None:
            raise NotFoundError("There is no such active account.")
        if outcome.is_stale:
            raise StaleVersionError("The profile has changed since you read it; read it again.")
        if outcome.is_too_large:
            raise InvalidInputError.of(
                "preferences", f"would exceed {MAX_PREFERENCES_BYTES} bytes after merging; delete keys first"
            )
        return outcome.profile


def checked_preferences(patch: dict[str, Any]) -> dict[str, Any]:
    """Refuse a merge patch that is too large, too deep, or not storable as PostgreSQL jsonb."""
    _check_nesting(patch)
    try:
        encoded = orjson.dumps(patch)
    except orjson.JSONEncodeError:
        raise InvalidInputError.of(
            "preferences", "must be JSON with valid text and 64-bit integers"
        ) from None
    if len(encoded) > MAX_PREFERENCES_BYTES:
        raise InvalidInputError.of("preferences", f"must not exceed {MAX_PREFERENCES_BYTES} bytes")
    return patch


def _check_nesting(patch: dict[str, Any]) -> None:
    """Level by level instead of recursively, so that hostile depth costs nothing."""
    level: list[Json] = [patch]
    for _ in range(MAX_PREFERENCES_DEPTH):
        level = [child for item in level for child in _children(item)]
        if any(isinstance(item, str) and "\x00" in item for item in level):
            raise InvalidInputError.of("preferences", "must not contain the NUL character")
    if any(isinstance(item, dict | list) for item in level):
        raise InvalidInputError.of("preferences", f"must not nest deeper than {MAX_PREFERENCES_DEPTH} levels")


def _children(item: Json) -> list[Json]:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    return item if isinstance(item, list) else []


def known_timezone(name: str) -> str:
    """The name of an IANA time zone, or a refusal."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInputError.of("timezone", "must be an IANA time zone such as Europe/Berlin") from None
    return name
