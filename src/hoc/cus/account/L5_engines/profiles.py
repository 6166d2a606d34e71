"""A user's own profile and preferences."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hoc.cus.account.L5_engines.email_address import fold
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.merge_patches import MAX_DOCUMENT_BYTES, checked_patch, too_large
from hoc.cus.account.L5_engines.numbers import is_whole
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_engines.text import clean_line
from hoc.cus.account.L5_engines.urls import https_url
from hoc.cus.account.L5_schemas.errors import InvalidInputError, NotFoundError, StaleVersionError
from hoc.cus.account.L5_schemas.port_types import AccountPatch, PatchRefusal, Versioned
from hoc.cus.account.L5_schemas.results import (
    ExtendedProfileResult,
    ExtendedProfileUpdateResult,
    OwnProfileResult,
)
from hoc.cus.account.L5_schemas.values import UNSET, Unset

MAX_LOCALE_LENGTH = 35
_LOCALE = re.compile(
    r"""
    (?P<language>[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})
    (?:-(?P<script>[a-z]{4}))?
    (?:-(?P<region>[a-z]{2}|[0-9]{3}))?
    (?P<rest>
        (?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*     # variants
        (?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*          # extensions
        (?:-x(?:-[a-z0-9]{1,8})+)?                   # private use
    )
    """,
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
"""A language tag of BCP 47 (RFC 5646, ``langtag``)."""


class ProfileStore(Protocol):
    async def find(
        self, session: Session, tenant_id: str, user_id: str
    ) -> Versioned[ExtendedProfileResult] | None: ...

    async def own(self, session: Session, user_id: str) -> Versioned[OwnProfileResult] | None:
        """The profile of an active account, outside of any tenant."""
        ...

    async def update(
        self,
        session: Session,
        user_id: str,
        patch: AccountPatch,
        now: datetime,
        *,
        actor: str | None,
        expected_version: int | None,
        max_preferences_bytes: int,
    ) -> Versioned[ExtendedProfileUpdateResult] | PatchRefusal | None:
        """Apply the patch, except an address, under the row's lock. None: no such active account."""
        ...


class Profiles:
    def __init__(self, profiles: ProfileStore, *, clock: Clock = utc_now) -> None:
        self._profiles = profiles
        self._clock = clock

    async def get(self, session: Session, tenant_id: str, user_id: str) -> Versioned[ExtendedProfileResult]:
        """A member's own profile within the tenant. Raises NotFoundError."""
        found = await self._profiles.find(session, tenant_id, user_id)
        if found is None:
            raise NotFoundError("There is no such user in this tenant.")
        return found

    async def own(self, session: Session, user_id: str) -> Versioned[OwnProfileResult]:
        """A person's own profile, which needs no membership. Raises NotFoundError."""
        found = await self._profiles.own(session, user_id)
        if found is None:
            raise NotFoundError("There is no such active account.")
        return found

    @records("user.profile_updated")
    async def update(
        self,
        session: Session,
        user_id: str,
        *,
        display_name: str | None = None,
        timezone: str | Unset | None = UNSET,
        locale: str | Unset | None = UNSET,
        avatar_url: str | Unset | None = UNSET,
        preferences: dict[str, Any] | None = None,
        expected_version: int | None = None,
    ) -> Versioned[ExtendedProfileUpdateResult]:
        """Set the fields that are given. Preferences are merged (RFC 7396: null deletes a key).

        None removes a time zone, a locale or a picture, which is an https URL.

        Raises InvalidInputError, NotFoundError or StaleVersionError.
        """
        if expected_version is not None and not is_whole(expected_version):
            raise InvalidInputError.of("expected_version", "must be a whole number, an int")
        name = None if display_name is None else clean_line("display_name", display_name)
        patch = AccountPatch(
            name=name,
            name_key=None if name is None else fold(name),
            timezone=_patched(timezone, known_timezone),
            locale=_patched(locale, canonical_locale),
            avatar_url=_patched(avatar_url, partial(https_url, "avatar_url")),
            preferences=checked_patch("preferences", {} if preferences is None else preferences),
        )
        outcome = await self._profiles.update(
            session,
            user_id,
            patch,
            self._clock(),
            actor=user_id,
            expected_version=expected_version,
            max_preferences_bytes=MAX_DOCUMENT_BYTES,
        )
        if outcome is None:
            raise NotFoundError("There is no such active account.")
        if isinstance(outcome, PatchRefusal):
            raise refused(outcome)
        return outcome


def _patched(given: str | Unset | None, checked: Callable[[str], str]) -> str | None:
    """As a patch has it: empty clears the field, None leaves it alone."""
    if given is UNSET:
        return None
    return "" if given is None else checked(given)


def refused(refusal: PatchRefusal) -> StaleVersionError | InvalidInputError:
    """The error for a patch that was not applied."""
    if refusal is PatchRefusal.STALE:
        return StaleVersionError("The profile has changed since you read it; read it again.")
    return too_large("preferences")


def known_timezone(name: str) -> str:
    """Return the name of an IANA time zone, or raise InvalidInputError."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInputError.of("timezone", "must be an IANA time zone such as Europe/Berlin") from None
    return name


def canonical_locale(tag: str) -> str:
    """Return a BCP 47 language tag in its usual case, as in ``zh-Hant-TW``, or raise InvalidInputError."""
    matched = _LOCALE.fullmatch(tag) if len(tag) <= MAX_LOCALE_LENGTH else None
    if matched is None:
        raise InvalidInputError.of("locale", "must be a BCP 47 language tag such as de or pt-BR")
    language, script, region, rest = matched.groups("")
    parts = (language.lower(), script.title(), region.upper())
    return "-".join(part for part in parts if part) + rest.lower()
