"""What the erasure of a person or of a tenant takes and gives."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from hoc.cus.account.L5_schemas.values import TenantStatus

BEYOND_REACH: Final = (
    "Copies outside this database are beyond reach: events that NATS and webhook endpoints have received,"
    " mails that were sent, exported files, and earlier backups. Whoever restores such a backup erases again:"
    " hoc user erase --replay, hoc tenant erase --replay."
)


@dataclass(frozen=True, slots=True)
class LockedPerson:
    """An account that is about to be erased, with the tenants whose only owner it is."""

    user_id: str
    deleted_at: datetime | None
    erased_at: datetime | None
    only_owner_of: list[str]


@dataclass(frozen=True)
class UserErasedResult:
    """The id stays as a pseudonym. ``beyond_reach`` says which copies hoc cannot erase."""

    user_id: str
    erased_at: datetime
    beyond_reach: str = BEYOND_REACH


@dataclass(frozen=True)
class ErasedUser:
    """A pseudonym, and when its person was erased."""

    user_id: str
    erased_at: datetime


@dataclass(frozen=True, slots=True)
class LockedTenant:
    """A tenant that is about to be erased, if it has ended."""

    status: TenantStatus
    erased_at: datetime | None


@dataclass(frozen=True)
class TenantErasedResult:
    """``beyond_reach`` says which copies hoc cannot erase."""

    tenant_id: str
    erased_at: datetime
    beyond_reach: str = BEYOND_REACH


@dataclass(frozen=True)
class ErasedTenant:
    tenant_id: str
    erased_at: datetime


@dataclass(frozen=True)
class UserExport:
    """All that is held about a person: rows by kind, each a dict of its columns, times in ISO 8601.

    ``stored_answers`` says which exist, without what is in them. ``events`` are those about the person and
    those that the person caused, in order. ``ticket_replies`` are the person's, and those to their tickets.
    Hashes of secrets, and copies of texts that only comparisons use, are left out.
    """

    user_id: str
    exported_at: datetime
    account: dict[str, Any]
    identities: list[dict[str, Any]]
    email_changes: list[dict[str, Any]]
    memberships: list[dict[str, Any]]
    join_requests: list[dict[str, Any]]
    ownership_transfers: list[dict[str, Any]]
    invitations: list[dict[str, Any]]
    tickets: list[dict[str, Any]]
    ticket_replies: list[dict[str, Any]]
    account_mails: list[dict[str, Any]]
    domain_mails: list[dict[str, Any]]
    stored_answers: list[dict[str, Any]]
    events: list[dict[str, Any]]
