"""Account records, for the identity service. Every method is a transaction of its own."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any, Self

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    literal,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.concurrency.batching import BatchLoader
from hoc.cus.account.L5_schemas.errors import LimitExceededError, StaleVersionError, UnavailableError
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
from hoc.cus.account.L6_drivers.account_inserts import ENSURE, RECORD, any_shard, ensure
from hoc.cus.account.L6_drivers.account_lists import list_accounts, read_stats
from hoc.cus.account.L6_drivers.account_status import FULL_TENANT, LOCK, SET_ACTIVE, TENANTS_OF
from hoc.cus.account.L6_drivers.account_updates import AccountUpdate
from hoc.cus.account.L6_drivers.email_changes import SqlEmailChanges
from hoc.cus.account.L6_drivers.execution import AnyRow, SqlSession, fetch_all, fetch_each, fetch_one
from hoc.cus.account.L6_drivers.fragments import LOCK_TENANT, any_of
from hoc.cus.account.L6_drivers.hooks import Scope, ScopedDatabase
from hoc.cus.account.L6_drivers.identities import SqlIdentities
from hoc.cus.account.L6_drivers.profiles import SqlProfiles
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import linked_identities, users
from hoc.database import Database


def _of_subjects(*conditions: ColumnElement[bool]) -> CompoundSelect[*tuple[Any, ...]]:
    """The accounts with these ids, and those that the primary issuer's subjects are linked to."""
    linked = linked_identities.join(users, users.c.user_id == linked_identities.c.user_id)
    return union_all(
        select(*RECORD, users.c.version, users.c.user_id.label("asked")).where(
            any_of(users.c.user_id, "user_ids"), *conditions
        ),
        select(*RECORD, users.c.version, linked_identities.c.subject)
        .select_from(linked)
        .where(
            linked_identities.c.issuer == literal_column("''"),
            any_of(linked_identities.c.subject, "user_ids"),
            *conditions,
        ),
    )


FIND = _of_subjects(users.c.is_active)
FIND_STORED = _of_subjects(users.c.erased_at.is_(None))
FIND_BY_EMAIL = select(*RECORD, users.c.version, users.c.email_key).where(
    any_of(users.c.email_key, "email_keys"), users.c.is_active, users.c.deleted_at.is_(None)
)


UPDATE = AccountUpdate("name", "email", "email_verified", result=AccountProfileResponse)

PING = select(literal(1))

_record = record_of(AccountProfileResponse, FIND, FIND_STORED, FIND_BY_EMAIL, ENSURE, UPDATE.statement)


def _versioned(row: AnyRow) -> Versioned[AccountProfileResponse]:
    return Versioned(_record(row), row.version)


def _require_fresh(row: AnyRow | None) -> None:
    """Raise StaleVersionError, which undoes the transaction, for an update of another version."""
    if row is not None and row.is_stale:
        raise StaleVersionError.of_account()


class AccountRepository:
    def __init__(self, database: Database | ScopedDatabase) -> None:
        self._database = database
        self._profiles = SqlProfiles()
        self._identities = SqlIdentities()
        self._email_changes = SqlEmailChanges()
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
        return {row.asked: _versioned(row) for row in rows}

    async def _find_stored(self, user_ids: list[str]) -> dict[str, AccountProfileResponse]:
        async with self._database.reading() as session:
            rows = await fetch_all(session, FIND_STORED, user_ids=user_ids)
        return {row.asked: _record(row) for row in rows}

    async def _find_by_email(self, email_keys: list[str]) -> dict[str, Versioned[AccountProfileResponse]]:
        async with self._database.reading() as session:
            rows = await fetch_all(session, FIND_BY_EMAIL, email_keys=email_keys)
        return {row.email_key: _versioned(row) for row in rows}

    async def ensure_account_exists(
        self, account: NewAccount, now: datetime, *, actor: str | None
    ) -> tuple[AccountProfileResponse, bool] | AddressRefusal:
        if not account.has_generated_id:
            if (stored := await self._stored.get(account.user_id)) is not None:
                return stored, False

            async def ensured(session: SqlSession) -> AnyRow | None:
                # A second time when nothing came back: a rival's row, committed meanwhile, is visible only to
                # a new statement.
                return await ensure(session, account, now, actor=actor) or await ensure(
                    session, account, now, actor=actor
                )

            row = await self._database.write(ensured)
            if row is not None:
                return _record(row), row.was_created
            async with self._database.reading() as session:
                if await self._identities.is_erased(session, account.user_id):
                    return AddressRefusal.ERASED_ID
        return await self._database.transact(lambda session: self._claim(session, account, now, actor))

    async def _claim(
        self, session: AsyncConnection, account: NewAccount, now: datetime, actor: str | None
    ) -> tuple[AccountProfileResponse, bool] | AddressRefusal:
        """Link the subject to the unclaimed account that has its verified address, or create an account."""
        await self._identities.lock(session, account.subject)
        if account.has_generated_id:
            owner = await self._identities.owner(session, account.subject)
        else:
            owner = account.user_id
        if owner is not None and (stored := await self._stored_as(session, owner)) is not None:
            return stored, False
        # A second time, when a rival has taken the address meanwhile.
        for _ in range(2):
            holder = await self._identities.holder(session, account.email.key)
            if holder is not None and not (account.email_verified and holder.is_active):
                return AddressRefusal.TAKEN
            if holder is not None and not holder.is_claimed:
                await self._identities.link(session, account.subject, holder.user_id, now, actor=actor)
                await self._identities.verify(
                    session, holder.user_id, now, actor=actor, name=account.name, name_key=account.name_key
                )
                claimed = await self._stored_as(session, holder.user_id)
                return AddressRefusal.TAKEN if claimed is None else (claimed, False)
            if holder is not None and holder.email_verified:
                return AddressRefusal.CLAIMED
            await self._identities.displace(session, account.email.key, account.user_id, now, actor=actor)
            row = await ensure(session, account, now, actor=actor)
            if row is not None:
                if account.has_generated_id:
                    await self._identities.link(session, account.subject, account.user_id, now, actor=actor)
                return _record(row), row.was_created
        return AddressRefusal.TAKEN

    async def _stored_as(self, session: SqlSession, user_id: str) -> AccountProfileResponse | None:
        """The account with this id, or that the primary issuer's subject with this id is linked to."""
        rows = await fetch_all(session, FIND_STORED, user_ids=[user_id])
        return _record(rows[-1]) if rows else None

    async def update_account_profile(
        self,
        user_id: str,
        patch: AccountPatch,
        now: datetime,
        *,
        actor: str | None,
        expected_version: int | None = None,
    ) -> Versioned[AccountProfileResponse] | None:
        async def update(session: SqlSession) -> AnyRow | None:
            row = await UPDATE.run(
                session, user_id, patch, now, actor=actor, expected_version=expected_version
            )
            _require_fresh(row)
            return row

        async def update_address(session: AsyncConnection) -> AnyRow | None:
            if patch.email_key is not None and patch.email_verified:
                await self._identities.displace(session, patch.email_key, user_id, now, actor=actor)
            row = await update(session)
            await self._email_changes.cancel(session, user_id, now)
            return row

        # Two accounts that take each other's address wait for each other: one of them has to begin again.
        row = await (
            self._database.write(update)
            if patch.email_key is None
            else self._database.transact(update_address)
        )
        return None if row is None else _versioned(row)

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
        async def change(session: AsyncConnection) -> bool:
            account = await fetch_one(session, LOCK, user_id=user_id)
            if account is None:
                return False
            if expected_version not in {None, account.version}:
                raise StaleVersionError.of_account()
            tenants = await fetch_all(session, TENANTS_OF, user_id=account.user_id)
            await fetch_each(session, LOCK_TENANT, [{"tenant_id": each.tenant_id} for each in tenants])
            if is_active and (
                full := await fetch_one(session, FULL_TENANT, user_id=account.user_id, now=now)
            ):
                raise LimitExceededError.of_seats(full.tenant_id, full.max_members)
            await fetch_one(
                session,
                SET_ACTIVE,
                user_id=account.user_id,
                is_active=is_active,
                is_deleted=is_deleted,
                now=now,
                reason=reason,
                actor=actor,
                shard=any_shard(),
            )
            return True

        # Can deadlock with accepting an invitation, which locks account_totals before member_counts, and
        # SET_ACTIVE in the other order. `transact` runs the loser again.
        return await self._database.transact(change)

    async def request_email_change(
        self,
        user_id: str,
        patch: AccountPatch,
        change: NewEmailChange,
        *,
        actor: str | None,
        expected_version: int | None = None,
    ) -> Versioned[AccountProfileResponse] | EmailChangeRefusal:
        async def request(session: AsyncConnection) -> Versioned[AccountProfileResponse] | EmailChangeRefusal:
            account = await self._email_changes.lock_account(session, user_id)
            if account is None:
                return EmailChangeRefusal.NO_ACCOUNT
            applied = patch
            if account.email_key == change.email.key:  # the same mailbox in another spelling
                applied = replace(patch, email=change.email.given, email_key=change.email.key)
            elif await self._email_changes.request(session, account.user_id, change) is None:
                return EmailChangeRefusal.LIMIT
            row = await UPDATE.run(
                session,
                account.user_id,
                applied,
                change.requested_at,
                actor=actor,
                expected_version=expected_version,
            )
            _require_fresh(row)
            return EmailChangeRefusal.NO_ACCOUNT if row is None else _versioned(row)

        return await self._database.transact(request)

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
        async def confirm(session: AsyncConnection) -> AccountProfileResponse | None:
            change = decide(await self._email_changes.lock(session, user_id))
            if change.is_confirmed:
                return await self._stored_as(session, user_id)
            await self._identities.displace(session, change.email_key, user_id, now, actor=user_id)
            patch = AccountPatch(email=change.email, email_key=change.email_key, email_verified=True)
            row = await UPDATE.run(session, user_id, patch, now, actor=user_id)
            await self._email_changes.confirm(session, user_id, change.old_email, now)
            return None if row is None else _record(row)

        return await self._database.transact(confirm)

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
        async def link(session: AsyncConnection) -> LinkOutcome:
            account = await self._identities.lock_account(session, user_id)
            if account is None:
                return LinkOutcome.NO_ACCOUNT
            await self._identities.lock(session, subject)
            owner = await self._identities.owner(session, subject)
            if owner is None and subject.issuer == "":
                is_active = await self._identities.is_active(session, subject.id)
                owner = None if is_active is None else subject.id
            if owner is not None:
                return LinkOutcome.DONE if owner == account.user_id else LinkOutcome.TAKEN
            by = account.user_id if actor == user_id else actor
            await self._identities.link(session, subject, account.user_id, now, actor=by)
            return LinkOutcome.DONE

        return await self._database.transact(link)

    async def unlink_identity(
        self, user_id: str, subject: Subject, now: datetime, *, actor: str | None
    ) -> LinkOutcome:
        async def unlink(session: AsyncConnection) -> LinkOutcome:
            account = await self._identities.lock_account(session, user_id)
            if account is None:
                return LinkOutcome.NO_ACCOUNT
            linked = await self._identities.of_account(session, account.user_id)
            others = [one for one in linked if (one.issuer, one.subject) != (subject.issuer, subject.id)]
            if len(others) == len(linked):
                return LinkOutcome.DONE
            if account.has_generated_id and not others:
                return LinkOutcome.LAST
            by = account.user_id if actor == user_id else actor
            await self._identities.unlink(session, subject, account.user_id, now, actor=by)
            return LinkOutcome.DONE

        return await self._database.transact(unlink)

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
