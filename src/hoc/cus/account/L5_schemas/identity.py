"""What the identity service takes and answers, under its specification's names.

The requests carry their own strictness for whoever parses them from JSON with pydantic. The answers have no
slots: orjson would take more than three times as long.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from hoc.cus.account.L5_schemas.records import EmailAddress

_STRICT = {"extra": "forbid", "strict": True}


@dataclass(frozen=True, slots=True)
class AccountEnsureRequest:
    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    user_id: str
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class AccountUpdateRequest:
    """None leaves a field as it is."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class AccountPreferencesRequest:
    """``preferences`` is merged into what is stored (RFC 7396): null deletes a key."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    preferences: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AccountStatusChangeRequest:
    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    is_active: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AccountListParams:
    """``cursor`` continues a list in place of ``page``; ``is_active`` None lists accounts of both kinds."""

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


@dataclass(frozen=True)
class AccountProfileResponse:
    user_id: str
    email: str
    name: str | None
    is_active: bool
    preferences: dict[str, Any]
    created_at: datetime
    updated_at: datetime


# The record and its answer are the same: one class under the specification's two names.
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
class AccountChange:
    """What to change in an account; None leaves a field alone."""

    name: str | None
    address: EmailAddress | None
    name_key: str | None


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """The account after the change, and which of its fields really changed."""

    account: AccountProfileResponse
    updated_fields: list[str]


@dataclass(frozen=True, slots=True)
class AccountFilter:
    """Which accounts a list holds: ``is_active`` None both kinds, ``term`` folded, None every name."""

    is_active: bool | None
    term: str | None
