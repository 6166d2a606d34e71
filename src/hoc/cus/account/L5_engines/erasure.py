"""Erasing people, for those who operate the product: callers with the scope ``accounts:admin``.

What stays is an id, as a pseudonym: tenants' audit trails, tickets and counts refer to it.
"""

from datetime import datetime
from typing import Protocol

from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.erasure import ErasedUser, LockedPerson, UserErasedResult
from hoc.cus.account.L5_schemas.errors import AccountNotFoundError, LastOwnerError


class UserErasureStore(Protocol):
    async def lock(self, session: Session, user_id: str) -> LockedPerson | None:
        """Lock the account with exactly this id, in any state, and what it shares with others."""
        ...

    async def erase(self, session: Session, user_id: str, now: datetime, *, actor: str | None) -> None:
        """Erase a locked person. Of one who was erased before, only what has come up since is erased."""
        ...

    async def erased(self, session: Session) -> list[ErasedUser]:
        """Everybody who was erased, in the order of the erasures."""
        ...


class Erasure:
    def __init__(self, users: UserErasureStore, *, clock: Clock = utc_now) -> None:
        self._users = users
        self._clock = clock

    @records(
        "member.removed", "tenant.transfer_canceled", "invitation.revoked", "user.deleted", "user.erased"
    )
    async def erase_user(
        self, session: Session, user_id: str, *, actor: str | None = None
    ) -> UserErasedResult:
        """Erase all that is known of a person, in any state of the account. Repeating it erases leftovers.

        The memberships end, the address and the subjects are free at once, and past events lose what is
        personal in them. The id stays and is nobody's any more: whoever signs up with the same subject gets
        another. ``user_id`` is the account's own id, and no subject that is linked to it.

        Raises AccountNotFoundError, or LastOwnerError, which names the tenants.
        """
        held = await self._users.lock(session, user_id) if is_storable_id(user_id) else None
        if held is None:
            raise AccountNotFoundError("There is no account with this id.")
        if held.only_owner_of:
            raise LastOwnerError(
                f"This person is the only owner of {', '.join(held.only_owner_of)}. Give each of these"
                " tenants another owner, or terminate it. Then erase the person."
            )
        now = self._clock()
        await self._users.erase(session, user_id, now, actor=actor)
        return UserErasedResult(user_id, held.erased_at or now)

    async def list_erased_users(self, session: Session) -> list[ErasedUser]:
        """The pseudonyms of all who were erased, with the times: what a restored backup is compared with."""
        return await self._users.erased(session)
