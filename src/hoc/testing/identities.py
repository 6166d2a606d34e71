"""Whose account it is, in memory: linked identities, claims of unclaimed accounts, and verified addresses."""

from datetime import datetime

from hoc.cus.account.L5_schemas.port_types import AddressHolder, NewAccount, Subject
from hoc.testing.database import MemorySession
from hoc.testing.rows import UserRow, combine
from hoc.testing.store import MemoryStore


class MemoryIdentities(MemoryStore):
    async def is_active(self, session: MemorySession, user_id: str) -> bool | None:
        user = self.read(session).users.get(user_id)
        return None if user is None or user.erased_at is not None else user.is_active

    async def is_erased(self, session: MemorySession, user_id: str) -> bool:
        user = self.read(session).users.get(user_id)
        return user is not None and user.erased_at is not None

    async def holder(self, session: MemorySession, email_key: str) -> AddressHolder | None:
        user = (await self.write(session)).account_by_email(email_key)
        return None if user is None else combine(AddressHolder, user)

    async def create(
        self,
        session: MemorySession,
        account: NewAccount,
        now: datetime,
        *,
        actor: str | None,
    ) -> bool:
        tables = await self.write(session)
        if account.user_id in tables.users or tables.account_by_email(account.email.key) is not None:
            return False
        tables.add_user(new_user(account, now), actor=actor)
        return True

    async def lock(self, session: MemorySession, subject: Subject) -> None:  # noqa: ARG002 - all is locked
        await self.write(session)

    async def owner(self, session: MemorySession, subject: Subject) -> str | None:
        linked = self.read(session).identities.get(subject)
        return None if linked is None else linked.user_id

    async def link(
        self, session: MemorySession, subject: Subject, user_id: str, now: datetime, *, actor: str | None
    ) -> bool:
        return (await self.write(session)).link(subject, user_id, now=now, actor=actor)

    async def verify(self, session: MemorySession, user_id: str, now: datetime, *, actor: str | None) -> None:
        (await self.write(session)).verify(user_id, now=now, actor=actor)

    async def displace(
        self, session: MemorySession, email_key: str, user_id: str, now: datetime, *, actor: str | None
    ) -> None:
        (await self.write(session)).displace(email_key, user_id, now=now, actor=actor)


def new_user(account: NewAccount, now: datetime) -> UserRow:
    """Under an id that was generated the account is unclaimed until a subject is linked to it."""
    return UserRow(
        account.user_id,
        account.email.given,
        account.email.key,
        account.name,
        account.email_verified,
        created_at=now,
        updated_at=now,
        has_generated_id=account.has_generated_id,
        is_claimed=not account.has_generated_id,
    )
