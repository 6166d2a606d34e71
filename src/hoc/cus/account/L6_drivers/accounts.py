"""Account records, for the identity service. Every method is a transaction of its own."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from typing import Self

from sqlalchemy import literal, select

from hoc.concurrency.batching import BatchLoader
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L5_schemas.identity import (
    AccountFilter,
    AccountProfileResponse,
    AccountStatsResponse,
    AccountSummaryResponse,
    EmailChangeResponse,
)
from hoc.cus.account.L5_schemas.port_types import (
    AccountPatch,
    AddressRefusal,
    EmailChangeRefusal,
    EmailChangeTerms,
    LinkOutcome,
    NewAccount,
    NewEmailChange,
    PatchRefusal,
    Slice,
    Subject,
    Versioned,
    Window,
)
from hoc.cus.account.L5_schemas.results import LinkedIdentitiesResult
from hoc.cus.account.L6_drivers import account_records, identity_links
from hoc.cus.account.L6_drivers.account_addresses import change_address, confirm_change, request_change
from hoc.cus.account.L6_drivers.account_inserts import ensure
from hoc.cus.account.L6_drivers.account_lists import list_accounts, read_stats
from hoc.cus.account.L6_drivers.account_records import FIND, FIND_BY_EMAIL, FIND_STORED, record, versioned
from hoc.cus.account.L6_drivers.account_status import set_status
from hoc.cus.account.L6_drivers.email_changes import SqlEmailChanges
from hoc.cus.account.L6_drivers.execution import AnyRow, SqlSession, fetch_all, fetch_one
from hoc.cus.account.L6_drivers.hooks import Scope, ScopedDatabase
from hoc.cus.account.L6_drivers.identities import SqlIdentities
from hoc.cus.account.L6_drivers.profiles import SqlProfiles
from hoc.database import Database

PING = select(literal(1))


class AccountRepository:
    def __init__(self, database: Database | ScopedDatabase) -> None:
        self._database = database
        self._profiles = SqlProfiles()
        self._identities = SqlIdentities()
        self._email_changes = SqlEmailChanges()
        # After a new account, as in a migration, the next one is stored without a look at what is there.
        self._expects_new = False
        self._by_id = BatchLoader(self._find)
        self._stored = BatchLoader(self._find_stored)
        self._by_email = BatchLoader(self._find_by_email)

    def within(self, scope: Scope) -> Self:
        """The same repository, each of whose changes is a transaction with all its work within ``scope``."""
        return type(self)(ScopedDatabase(self._database, scope))

    async def get_account_by_id(self, user_id: str) -> Versioned[AccountProfileResponse] | None:
        return await self._by_id.get(user_id)

    async def get_account_by_email(self, email_key: str) -> Versioned[AccountProfileResponse] | None:
        return await self._by_email.get(email_key)

    async def _find(self, user_ids: list[str]) -> dict[str, Versioned[AccountProfileResponse]]:
        async with self._database.reading() as session:
            rows = await fetch_all(session, FIND, user_ids=user_ids)
        return {row.asked: versioned(row) for row in rows}

    async def _find_stored(self, user_ids: list[str]) -> dict[str, AccountProfileResponse]:
        async with self._database.reading() as session:
            rows = await fetch_all(session, FIND_STORED, user_ids=user_ids)
        return {row.asked: record(row) for row in rows}

    async def _find_by_email(self, email_keys: list[str]) -> dict[str, Versioned[AccountProfileResponse]]:
        async with self._database.reading() as session:
            rows = await fetch_all(session, FIND_BY_EMAIL, email_keys=email_keys)
        return {row.email_key: versioned(row) for row in rows}

    async def ensure_account_exists(
        self, account: NewAccount, now: datetime, *, actor: str | None
    ) -> tuple[AccountProfileResponse, bool] | AddressRefusal:
        if not account.has_generated_id:
            if not self._expects_new and (stored := await self._stored.get(account.user_id)) is not None:
                return stored, False
            row = await self._ensure(account, now, actor=actor)
            if row is not None:
                return record(row), row.was_created
            async with self._database.reading() as session:
                if await self._identities.is_erased(session, account.user_id):
                    return AddressRefusal.ERASED_ID
        return await self._database.atomically(
            lambda session: identity_links.claim(session, account, now, actor=actor)
        )

    async def _ensure(self, account: NewAccount, now: datetime, *, actor: str | None) -> AnyRow | None:
        async def ensured(session: SqlSession) -> AnyRow | None:
            # A second time when nothing came back: a rival's row, committed meanwhile, is visible only to
            # a new statement.
            return await ensure(session, account, now, actor=actor) or await ensure(
                session, account, now, actor=actor
            )

        row = None
        try:
            row = await self._database.write(ensured)
        finally:
            # Where writing fails, existing accounts can still be read.
            self._expects_new = row is not None and row.was_created
        return row

    async def update_account_profile(
        self,
        user_id: str,
        patch: AccountPatch,
        now: datetime,
        *,
        actor: str | None,
        expected_version: int | None = None,
    ) -> Versioned[AccountProfileResponse] | None:
        if patch.email_key is None:
            return await self._database.write(
                lambda session: account_records.update(
                    session, user_id, patch, now, actor=actor, expected_version=expected_version
                )
            )
        # Two accounts that take each other's address wait for each other: one of them has to begin again.
        return await self._database.atomically(
            lambda session: change_address(
                session, user_id, patch, now, actor=actor, expected_version=expected_version
            )
        )

    async def update_account_preferences(
        self,
        user_id: str,
        patch: AccountPatch,
        now: datetime,
        *,
        max_bytes: int,
        actor: str | None,
        expected_version: int | None = None,
    ) -> PatchRefusal | bool:
        outcome = await self._database.write(
            lambda session: self._profiles.update(
                session,
                user_id,
                patch,
                now,
                actor=actor,
                expected_version=expected_version,
                max_preferences_bytes=max_bytes,
            )
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
        expected_version: int | None = None,
    ) -> bool:
        return await self._database.atomically(
            lambda session: set_status(
                session,
                user_id,
                is_active=is_active,
                is_deleted=is_deleted,
                now=now,
                reason=reason,
                actor=actor,
                expected_version=expected_version,
            )
        )

    async def request_email_change(
        self,
        user_id: str,
        patch: AccountPatch,
        change: NewEmailChange,
        *,
        actor: str | None,
        expected_version: int | None = None,
    ) -> Versioned[AccountProfileResponse] | EmailChangeRefusal:
        return await self._database.atomically(
            lambda session: request_change(
                session, user_id, patch, change, actor=actor, expected_version=expected_version
            )
        )

    async def pending_email_change(self, user_id: str, now: datetime) -> EmailChangeResponse | None:
        async with self._database.reading() as session:
            return await self._email_changes.pending(session, user_id, now)

    async def hand_out_email_change(
        self, user_id: str, *, token_hash: bytes, now: datetime
    ) -> EmailChangeResponse | None:
        return await self._database.write(
            lambda session: self._email_changes.hand_out(session, user_id, token_hash=token_hash, now=now)
        )

    async def cancel_email_change(self, user_id: str, now: datetime) -> None:
        await self._database.write(lambda session: self._email_changes.cancel(session, user_id, now))

    async def confirm_email_change(
        self, user_id: str, decide: Callable[[EmailChangeTerms | None], EmailChangeTerms], now: datetime
    ) -> AccountProfileResponse | None:
        return await self._database.atomically(lambda session: confirm_change(session, user_id, decide, now))

    async def list_identities(self, user_id: str) -> LinkedIdentitiesResult | None:
        account = await self.get_account_by_id(user_id)
        if account is None:
            return None
        user_id = account.value.user_id
        async with self._database.reading() as session:
            identities = await self._identities.of_account(session, user_id)
        return LinkedIdentitiesResult(user_id, identities)

    async def link_identity(
        self, user_id: str, subject: Subject, now: datetime, *, actor: str | None
    ) -> LinkOutcome:
        return await self._database.atomically(
            lambda session: identity_links.link(session, user_id, subject, now, actor=actor)
        )

    async def unlink_identity(
        self, user_id: str, subject: Subject, now: datetime, *, actor: str | None
    ) -> LinkOutcome:
        return await self._database.atomically(
            lambda session: identity_links.unlink(session, user_id, subject, now, actor=actor)
        )

    async def record_sign_in(
        self, user_id: str, now: datetime, *, provider: str | None, actor: str | None
    ) -> bool:
        return await self._database.write(
            lambda session: self._identities.record_sign_in(
                session, user_id, now, provider=provider, actor=actor
            )
        )

    async def list_accounts(
        self, wanted: AccountFilter, window: Window, *, max_counted: int, session: SqlSession | None = None
    ) -> tuple[Slice[AccountSummaryResponse], bool]:
        async with self._session(session) as reading:
            return await list_accounts(reading, wanted, window, max_counted=max_counted)

    async def get_account_stats(
        self, now: datetime, *, session: SqlSession | None = None
    ) -> AccountStatsResponse:
        async with self._session(session) as reading:
            return await read_stats(reading, now)

    def _session(self, session: SqlSession | None) -> AbstractAsyncContextManager[SqlSession]:
        return self._database.reading() if session is None else nullcontext(session)

    async def check_connection(self) -> bool:
        try:
            async with self._database.reading() as session:
                await fetch_one(session, PING)
        except UnavailableError:
            return False
        return True
