"""Leases: parts of a quota that are held until they are released, or expire because their holder is gone."""

from typing import Final, Protocol

from hoc.cus.account.L5_engines.numbers import why_not_whole
from hoc.cus.account.L5_engines.quotas import no_such_active_tenant, quota_exceeded
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_engines.text import choice, is_account_id
from hoc.cus.account.L5_schemas.errors import InvalidInputError, NotFoundError
from hoc.cus.account.L5_schemas.port_types import QuotaRefusal
from hoc.cus.account.L5_schemas.results import LeaseResult
from hoc.cus.account.L5_schemas.values import AnyLeasedQuota, LeasedQuota

DEFAULT_SECONDS: Final = 60
MAX_SECONDS: Final = 86_400


class LeaseStore(Protocol):
    async def acquire(
        self, session: Session, tenant_id: str, quota: LeasedQuota, lease_id: str, *, seconds: int | None
    ) -> LeaseResult | QuotaRefusal | None:
        """Hold a part of an active tenant's quota, or hold it longer. None: no such active tenant."""
        ...

    async def renew(
        self, session: Session, tenant_id: str, quota: LeasedQuota, lease_id: str, *, seconds: int
    ) -> LeaseResult | None:
        """None: the lease does not exist, or has expired, or the tenant is not active."""
        ...

    async def release(self, session: Session, tenant_id: str, quota: LeasedQuota, lease_id: str) -> None: ...


class Leases:
    def __init__(self, leases: LeaseStore) -> None:
        self._leases = leases

    async def acquire(
        self,
        session: Session,
        tenant_id: str,
        quota: AnyLeasedQuota,
        lease_id: str,
        *,
        seconds: int | None = None,
    ) -> LeaseResult:
        """Hold one of what a quota limits: a worker, a running run, an API key. ``lease_id`` is the caller's.

        The call is part of the caller's transaction: a rollback releases. A lease that is held is renewed.
        It ends by itself after ``seconds``, 60 by default; a lease of ``max_api_keys`` has no end.

        Raises:
            InvalidInputError
            LimitExceededError: as many are held as the quota allows.
            NotFoundError: the tenant does not exist, or is not active.
        """
        leased, lease_id = _checked(quota, lease_id)
        if leased is LeasedQuota.MAX_API_KEYS:
            if seconds is not None:
                raise InvalidInputError.of("seconds", "must not be given: an API key is held until released")
        else:
            seconds = _checked_seconds(DEFAULT_SECONDS if seconds is None else seconds)
        lease = await self._leases.acquire(session, tenant_id, leased, lease_id, seconds=seconds)
        if lease is None:
            raise no_such_active_tenant()
        if isinstance(lease, QuotaRefusal):
            raise quota_exceeded(lease)
        return lease

    async def renew(
        self,
        session: Session,
        tenant_id: str,
        quota: AnyLeasedQuota,
        lease_id: str,
        *,
        seconds: int = DEFAULT_SECONDS,
    ) -> LeaseResult:
        """Have a lease end ``seconds`` from now.

        Raises InvalidInputError, or NotFoundError: the lease does not exist or has expired, and another may
        hold its part of the quota; or the tenant is not active.
        """
        leased, lease_id = _checked(quota, lease_id)
        if leased is LeasedQuota.MAX_API_KEYS:
            raise InvalidInputError.of("quota", "must be one whose leases expire, not max_api_keys")
        renewed = await self._leases.renew(
            session, tenant_id, leased, lease_id, seconds=_checked_seconds(seconds)
        )
        if renewed is None:
            raise NotFoundError("There is no such lease, or it has expired. Acquire one.")
        return renewed

    async def release(self, session: Session, tenant_id: str, quota: AnyLeasedQuota, lease_id: str) -> None:
        """End a lease. If it has ended, or never was, nothing changes. Raises InvalidInputError."""
        leased, lease_id = _checked(quota, lease_id)
        await self._leases.release(session, tenant_id, leased, lease_id)


def _checked(quota: AnyLeasedQuota, lease_id: str) -> tuple[LeasedQuota, str]:
    if not is_account_id(lease_id):
        raise InvalidInputError.of("lease_id", "must have 1 to 255 visible characters, without a slash")
    return choice("quota", quota, LeasedQuota), lease_id


def _checked_seconds(seconds: int) -> int:
    if wrong := why_not_whole(seconds, 1, MAX_SECONDS):
        raise InvalidInputError.of("seconds", wrong)
    return seconds
