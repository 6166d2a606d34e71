"""What the erasure of a person or of a tenant takes and gives."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

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
