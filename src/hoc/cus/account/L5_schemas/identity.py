"""The identity service's requests and responses, under its specification's names.

Parsed by pydantic, a request is strict: it has these fields, of these types, and no others. The responses
have no slots: with slots, orjson takes more than three times as long.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

_STRICT = {"extra": "forbid", "strict": True}


@dataclass(frozen=True, slots=True)
class AccountEnsureRequest:
    """``user_id`` is the subject that ``issuer``, or else the primary issuer, gave the person.

    ``email_verified``: whether the issuer knows that the person receives mail at the address.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    user_id: str
    email: str
    name: str
    email_verified: bool = False
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class AccountUpdateRequest:
    """None leaves a field alone. Another address is unverified unless ``email_verified`` comes with it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str | None = None
    email: str | None = None
    email_verified: bool | None = None


@dataclass(frozen=True, slots=True)
class AccountPreferencesRequest:
    """``preferences`` is merged into the stored preferences (RFC 7396): null deletes a key."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    preferences: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AccountStatusChangeRequest:
    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    is_active: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class IdentityLinkRequest:
    """The subject to link, and its issuer if that is not the primary one; or a ``token`` of that identity."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    subject: str | None = None
    issuer: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class SignInRequest:
    """``provider`` is what the person signed in with, such as ``google``; None leaves the stored one."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    provider: str | None = None


@dataclass(frozen=True, slots=True)
class AccountListParams:
    """``cursor`` continues a list in place of ``page``. ``is_active`` None lists inactive accounts, too."""

    page: int = 1
    page_size: int = 50
    is_active: bool | None = True
    search: str | None = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class AccountSearchParams:
    query: str
    limit: int = 50
    include_inactive: bool = False


@dataclass(frozen=True, slots=True)
class EmailConfirmationRequest:
    """``token`` is the one in the mail to the new address."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    token: str


@dataclass(frozen=True)
class EmailChangeResponse:
    """A change of an account's address that has yet to be confirmed by the link mailed to ``email``."""

    user_id: str
    email: str
    requested_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class EmailChangeLinkResponse:
    """A new link that confirms the change of an account's address; earlier ones are void.

    Its repr does not show it.
    """

    user_id: str
    email: str
    token: str = field(repr=False)
    link: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class AccountProfileResponse:
    user_id: str
    email: str
    name: str | None
    is_active: bool
    preferences: dict[str, Any]
    created_at: datetime
    updated_at: datetime


# The specification has two names for this class: the record's and the response's.
User = AccountProfileResponse


@dataclass(frozen=True)
class AccountSummaryResponse:
    user_id: str
    email: str
    name: str | None
    is_active: bool
    created_at: datetime


@dataclass(frozen=True)
class AccountSearchResponse:
    accounts: list[AccountSummaryResponse]
    total: int
    page: int
    page_size: int
    pages: int
    total_capped: bool
    next_cursor: str | None


@dataclass(frozen=True)
class AccountStatsResponse:
    total_accounts: int
    active_accounts: int
    inactive_accounts: int
    recent_registrations_7d: int
    recent_registrations_30d: int


@dataclass(frozen=True)
class MessageResponse:
    message: str


@dataclass(frozen=True, slots=True)
class AccountFilter:
    """Which accounts to list. ``term`` is a folded search term. None matches every account."""

    is_active: bool | None
    term: str | None
