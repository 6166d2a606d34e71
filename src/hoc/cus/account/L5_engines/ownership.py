"""Handing a tenant over, in two steps: an owner offers, the other member accepts."""

from datetime import datetime, timedelta
from typing import Protocol

from hoc.cus.account.L5_engines.access import require, require_writer
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
from hoc.cus.account.L5_schemas.records import Access
from hoc.cus.account.L5_schemas.results import OwnershipTransferResult
from hoc.cus.account.L5_schemas.values import Role

TRANSFER_LIFETIME = timedelta(days=7)


class OwnershipTransferStore(Protocol):
    async def open(
        self, session: Session, transfer: OwnershipTransferResult, now: datetime
    ) -> OwnershipTransferResult | None:
        """Store the offer, in place of an expired one; None when another is open."""
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

    async def start(
        self, session: Session, tenant_id: str, caller_user_id: str, to_user_id: str
    ) -> OwnershipTransferResult:
        """An owner offers their ownership to another active member; the offer lasts seven days."""
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
            raise TransferPendingError("An ownership transfer is open already; cancel it first.")
        return opened

    async def get(self, session: Session, tenant_id: str, caller_user_id: str) -> OwnershipTransferResult:
        """The open offer, for owners, admins and the member it is made to."""
        offer = await self._open_offer(session, tenant_id)
        found = await self._members.access(session, [(tenant_id, caller_user_id)])
        caller = found.get((tenant_id, caller_user_id))
        involved = caller_user_id == offer.to_user_id
        if caller is None or not (involved or caller.role.can_manage_users):
            raise _no_transfer()
        return offer

    async def accept(self, session: Session, tenant_id: str, caller_user_id: str) -> OwnershipTransferResult:
        """The recipient becomes an owner and the offerer an admin, at once or not at all."""
        await self._members.lock_tenant(session, tenant_id)
        offer = await self._open_offer(session, tenant_id)
        if offer.to_user_id != caller_user_id:
            raise _no_transfer()
        offerer, recipient = await self._pair(session, tenant_id, offer.from_user_id, caller_user_id)
        require_writer(recipient)
        if offerer is None or offerer.role is not Role.OWNER:
            raise ForbiddenError("Who offered the ownership is no longer an owner.", code="offer_void")
        await self._members.set_role(session, tenant_id, offer.to_user_id, Role.OWNER, actor=caller_user_id)
        await self._members.set_role(session, tenant_id, offer.from_user_id, Role.ADMIN, actor=caller_user_id)
        await self._close(session, tenant_id, caller_user_id, accepted=True)
        return offer

    async def cancel(self, session: Session, tenant_id: str, caller_user_id: str) -> OwnershipTransferResult:
        """Withdrawn by any owner, or declined by the recipient."""
        caller, _ = await self._lock_pair(session, tenant_id, caller_user_id, caller_user_id)
        writer = require_writer(caller)
        offer = await self._open_offer(session, tenant_id)
        if writer.role is not Role.OWNER and caller_user_id != offer.to_user_id:
            raise _no_transfer()
        await self._close(session, tenant_id, caller_user_id, accepted=False)
        return offer

    async def _close(self, session: Session, tenant_id: str, actor: str, *, accepted: bool) -> None:
        await self._transfers.close(session, tenant_id, accepted=accepted, actor=actor, now=self._clock())

    async def _open_offer(self, session: Session, tenant_id: str) -> OwnershipTransferResult:
        offer = await self._transfers.find(session, tenant_id)
        if offer is None or offer.expires_at <= self._clock():
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
