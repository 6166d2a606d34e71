"""What the erasure of a person or of a tenant takes and gives."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

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
    ``directory_users`` and ``directory_groups`` are what SCIM clients have given about the person.
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
    webhook_mails: list[dict[str, Any]]
    directory_users: list[dict[str, Any]]
    directory_groups: list[dict[str, Any]]
    stored_answers: list[dict[str, Any]]
    events: list[dict[str, Any]]


ExportKey: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ExportPosition:
    """A row in the export of a tenant: its kind, and what tells it from the tenant's others of the kind."""

    kind: str
    key: ExportKey


@dataclass(frozen=True)
class TenantRecord:
    """A row with its columns, times in ISO 8601. ``kind`` is its table's name."""

    kind: str
    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TenantRecords:
    """Some rows of a tenant. ``last`` is the position of the last one, None if none comes after it."""

    records: list[TenantRecord]
    last: ExportPosition | None


@dataclass(frozen=True)
class TenantExport:
    """A part of what is held about a tenant. Secrets, and hashes of secrets, are left out."""

    tenant_id: str
    records: list[TenantRecord]
