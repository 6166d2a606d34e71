"""Account records for the identity service, in the same tables as the console's."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import orjson

from hoc.cus.account.L5_engines.email_address import fold
from hoc.cus.account.L5_schemas.errors import AccountValidationError
from hoc.cus.account.L5_schemas.identity import (
    AccountFilter,
    AccountProfileResponse,
    AccountStatsResponse,
    AccountSummaryResponse,
)
from hoc.cus.account.L5_schemas.port_types import (
    AccountPatch,
    EmailAddress,
    PatchRefusal,
    Slice,
    SortKey,
    Window,
)
from hoc.testing.database import MemoryDatabase
from hoc.testing.profiles import MemoryProfiles, apply_patch
from hoc.testing.rows import UserRow, combine
from hoc.testing.store import slice_of
from hoc.testing.tables import Tables


class MemoryAccounts:
    """Each method is a transaction of its own."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._profiles = MemoryProfiles(database)

    async def get_account_by_id(self, user_id: str) -> AccountProfileResponse | None:
        user = self._database.committed().users.get(user_id)
        return None if user is None or not user.is_active else _record(user)

    async def get_account_by_email(self, email_key: str) -> AccountProfileResponse | None:
        user = self._database.committed().account_by_email(email_key)
        return None if user is None else _record(user)

    async def ensure_account_exists(
        self,
        user_id: str,
        address: EmailAddress,
        name: str,
        *,
        name_key: str,  # noqa: ARG002 - searches fold the stored names
        now: datetime,
        actor: str | None,
    ) -> tuple[AccountProfileResponse, bool] | None:
        async with self._database.transaction() as session:
            tables = await session.writable()
            stored = tables.users.get(user_id)
            if stored is not None:
                return _record(stored), False
            if tables.account_by_email(address.key) is not None:
                return None
            made = UserRow(user_id, address.given, address.key, name, False, now, now)
            tables.add_user(made, actor=actor)
            return _record(made), True

    async def update_account_profile(
        self, user_id: str, patch: AccountPatch, now: datetime, *, actor: str | None
    ) -> AccountProfileResponse | None:
        async with self._database.transaction() as session:
            tables = await session.writable()
            user = tables.users.get(user_id)
            if user is None or not user.is_active:
                return None
            patched = apply_patch(user, patch)
            if tables.account_by_email(patched.email_key) not in {None, user}:
                raise AccountValidationError.of("email", "is another active account's already")
            return _record(tables.update_user(patched, now=now, actor=actor))

    async def update_account_preferences(
        self, user_id: str, patch: AccountPatch, now: datetime, *, max_bytes: int, actor: str | None
    ) -> PatchRefusal | bool:
        async with self._database.transaction() as session:
            outcome = await self._profiles.update(
                session, user_id, patch, now, actor=actor, max_preferences_bytes=max_bytes
            )
        return outcome if isinstance(outcome, PatchRefusal) else outcome is not None

    async def set_account_status(
        self,
        user_id: str,
        *,
        is_active: bool,
        is_deleted: bool = False,
        now: datetime,
        reason: str | None,
        actor: str | None,
    ) -> bool:
        async with self._database.transaction() as session:
            tables = await session.writable()
            return tables.set_account_status(
                user_id, is_active=is_active, is_deleted=is_deleted, now=now, reason=reason, actor=actor
            )

    async def list_accounts(
        self, wanted: AccountFilter, window: Window, *, max_counted: int
    ) -> tuple[Slice[AccountSummaryResponse], bool]:
        found = slice_of(
            (
                (SortKey(user.created_at, user.user_id), combine(AccountSummaryResponse, user))
                for user in _matching(self._database.committed(), wanted)
            ),
            window,
            newest_first=True,
        )
        is_capped = wanted.term is not None and found.total > max_counted
        return (replace(found, total=max_counted) if is_capped else found), is_capped

    async def get_account_stats(self, now: datetime) -> AccountStatsResponse:
        users = self._database.committed().users.values()
        active = sum(user.is_active for user in users)
        return AccountStatsResponse(
            total_accounts=len(users),
            active_accounts=active,
            inactive_accounts=len(users) - active,
            recent_registrations_7d=sum(user.created_at >= now - timedelta(days=7) for user in users),
            recent_registrations_30d=sum(user.created_at >= now - timedelta(days=30) for user in users),
        )

    async def check_connection(self) -> bool:
        return True


def _matching(tables: Tables, wanted: AccountFilter) -> Iterator[UserRow]:
    return (
        user
        for user in tables.users.values()
        if wanted.is_active in {None, user.is_active}
        and (
            wanted.term is None
            or any(wanted.term in text for text in (user.email_key, fold(user.name or ""), user.email))
        )
    )


def _record(user: UserRow) -> AccountProfileResponse:
    return combine(AccountProfileResponse, user, preferences=orjson.loads(user.preferences))
