"""Transferring ownership in two steps: an owner offers it, another member accepts."""

from datetime import datetime, timedelta
from typing import Protocol

from hoc.cus.account.L5_engines.access import require, require_writer
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.members import MemberStore
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    OwnMembershipError,
    TransferPendingError,
)
from hoc.cus.account.L5_schemas.port_types import Access
from hoc.cus.account.L5_schemas.results import OwnershipTransferResult
from hoc.cus.account.L5_schemas.values import Role

TRANSFER_LIFETIME = timedelta(days=7)


class OwnershipTransferStore(Protocol):
    async def open(
        self, session: Session, transfer: OwnershipTransferResult, now: datetime
    ) -> OwnershipTransferResult | None:
        """Store the offer, in place of an expired one. None: another offer is open."""
        ...

    async def find(self, session: Session, tenant_id: str) -> OwnershipTransferResult | None:
        """The tenant's offer, expired or not."""
        ...

    async def close(
        self, session: Session, tenant_id: str, *, accepted: bool, actor: str, now: datetime
    ) -> None: ...


class OwnershipTransfers:
    def __init__(
        self, transfers: OwnershipTransferStore, members: MemberStore, *, clock: Clock = utc_now
    ) -> None:
        self._transfers = transfers
        self._members = members
        self._clock = clock

    @records("tenant.transfer_offered")
    async def start(
        self, session: Session, tenant_id: str, caller_user_id: str, to_user_id: str
    ) -> OwnershipTransferResult:
        """Offer the caller's ownership to another active member, for seven days.

        Raises InvalidInputError, OwnMembershipError, NotAMemberError, TenantNotActiveError, NotFoundError,
        ForbiddenError (the caller is no owner), ConflictError (the member is one) or TransferPendingError.
        """
        if caller_user_id == to_user_id:
            raise OwnMembershipError("You cannot transfer ownership to yourself.")
        if not is_storable_id(to_user_id):
            raise InvalidInputError.of("to_user_id", "must be 1 to 255 characters of text")
        caller, recipient = await self._lock_pair(session, tenant_id, caller_user_id, to_user_id)
        require(require_writer(caller).role is Role.OWNER, "transfer ownership")
        if recipient is None:
            raise NotFoundError("There is no such user in this tenant.")
        if recipient.role is Role.OWNER:
            raise ConflictError("That member is an owner already.", code="already_owner")
        now = self._clock()
        offer = OwnershipTransferResult(
            tenant_id, caller_user_id, to_user_id, created_at=now, expires_at=now + TRANSFER_LIFETIME
        )
        opened = await self._transfers.open(session, offer, now)
        if opened is None:
            raise TransferPendingError("An ownership transfer is open already. Cancel it first.")
        return opened

    async def get(self, session: Session, tenant_id: str, caller_user_id: str) -> OwnershipTransferResult:
        """Return the open offer. Raises NotFoundError, also for a caller who may not see the offer.

        Owners, admins and the member to whom it is made may see it.
        """
        offer = await self._open_offer(session, tenant_id, self._clock())
        found = await self._members.access(session, [(tenant_id, caller_user_id)])
        caller = found.get((tenant_id, caller_user_id))
        is_recipient = caller_user_id == offer.to_user_id
        if caller is None or not (is_recipient or caller.role.can_manage_users):
            raise _no_transfer()
        return offer

    @records("tenant.transfer_accepted", "member.role_changed")
    async def accept(self, session: Session, tenant_id: str, caller_user_id: str) -> OwnershipTransferResult:
        """Make the caller an owner and the member who offered it an admin, in one step.

        Raises NotAMemberError, TenantNotActiveError, NotFoundError (no offer to the caller is open) or
        ForbiddenError (the member who offered it is no longer an owner).
        """
        now = self._clock()
        await self._members.lock_tenant(session, tenant_id)
        offer = await self._open_offer(session, tenant_id, now)
        if offer.to_user_id != caller_user_id:
            raise _no_transfer()
        offerer, recipient = await self._pair(session, tenant_id, offer.from_user_id, caller_user_id)
        require_writer(recipient)
        if offerer is None or offerer.role is not Role.OWNER:
            raise ForbiddenError(
                "The member who offered the ownership is no longer an owner.", code="offer_void"
            )
        for user_id, role in ((offer.to_user_id, Role.OWNER), (offer.from_user_id, Role.ADMIN)):
            await self._members.set_role(session, tenant_id, user_id, role, now, actor=caller_user_id)
        await self._transfers.close(session, tenant_id, accepted=True, actor=caller_user_id, now=now)
        return offer

    @records("tenant.transfer_canceled")
    async def cancel(self, session: Session, tenant_id: str, caller_user_id: str) -> OwnershipTransferResult:
        """Withdraw the offer, as an owner, or decline it, as the member to whom it is made.

        Raises NotAMemberError, TenantNotActiveError or NotFoundError.
        """
        now = self._clock()
        caller, _ = await self._lock_pair(session, tenant_id, caller_user_id, caller_user_id)
        writer = require_writer(caller)
        offer = await self._open_offer(session, tenant_id, now)
        if writer.role is not Role.OWNER and caller_user_id != offer.to_user_id:
            raise _no_transfer()
        await self._transfers.close(session, tenant_id, accepted=False, actor=caller_user_id, now=now)
        return offer

    async def _open_offer(self, session: Session, tenant_id: str, now: datetime) -> OwnershipTransferResult:
        offer = await self._transfers.find(session, tenant_id)
        if offer is None or offer.expires_at <= now:
            raise _no_transfer()
        return offer

    async def _lock_pair(
        self, session: Session, tenant_id: str, one: str, other: str
    ) -> tuple[Access | None, Access | None]:
        await self._members.lock_tenant(session, tenant_id)
        return await self._pair(session, tenant_id, one, other)

    async def _pair(
        self, session: Session, tenant_id: str, one: str, other: str
    ) -> tuple[Access | None, Access | None]:
        found = await self._members.access(session, [(tenant_id, one), (tenant_id, other)])
        return found.get((tenant_id, one)), found.get((tenant_id, other))


def _no_transfer() -> NotFoundError:
    return NotFoundError("There is no open ownership transfer for you in this tenant.")
