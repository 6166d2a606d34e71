"""Account records for the identity service, in the same tables as the console's."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Self

import orjson

from hoc.cus.account.L5_schemas.errors import AccountValidationError, StaleVersionError
from hoc.cus.account.L5_schemas.events import UserIdentityUnlinkedEventData, UserSignedInEventData
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
    SortKey,
    Subject,
    Versioned,
    Window,
)
from hoc.cus.account.L5_schemas.results import LinkedIdentitiesResult, LinkedIdentityResult
from hoc.testing.database import MemoryDatabase, MemorySession
from hoc.testing.email_changes import cancel_change, give_token, pending_change, request_change, terms_of
from hoc.testing.hooks import Scope, ScopedDatabase
from hoc.testing.identities import new_user
from hoc.testing.profiles import MemoryProfiles, apply_patch
from hoc.testing.rows import UserRow, combine
from hoc.testing.store import slice_of
from hoc.testing.tables import Tables


class MemoryAccounts:
    """Each method is a transaction of its own."""

    def __init__(self, database: MemoryDatabase | ScopedDatabase) -> None:
        self._database = database
        stored_in = database if isinstance(database, MemoryDatabase) else database.memory
        self._profiles = MemoryProfiles(stored_in)

    def within(self, scope: Scope) -> Self:
        """The same repository, each of whose transactions has all its work within ``scope``."""
        return type(self)(ScopedDatabase(self._database, scope))

    async def get_account_by_id(self, user_id: str) -> Versioned[AccountProfileResponse] | None:
        user = self._database.committed().account(user_id)
        return None if user is None or not user.is_active else _versioned(user)

    async def get_account_by_email(self, email_key: str) -> Versioned[AccountProfileResponse] | None:
        user = self._database.committed().account_by_email(email_key)
        return None if user is None or not user.is_active else _versioned(user)

    async def ensure_account_exists(
        self, account: NewAccount, now: datetime, *, actor: str | None
    ) -> tuple[AccountProfileResponse, bool] | AddressRefusal:
        async with self._database.transaction() as session:
            tables = await session.writable()
            subject, key = account.subject, account.email.key
            linked = tables.identities.get(subject)
            stored = tables.users.get(account.user_id if linked is None else linked.user_id)
            if stored is not None and stored.erased_at is not None:
                return AddressRefusal.ERASED_ID
            if stored is not None:
                return _record(stored), False
            holder = tables.account_by_email(key)
            if holder is not None:
                if not (account.email_verified and holder.is_active):
                    return AddressRefusal.TAKEN
                if not holder.is_claimed:
                    tables.link(subject, holder.user_id, now=now, actor=actor)
                    tables.verify(holder.user_id, now=now, actor=actor, name=account.name)
                    return _record(tables.users[holder.user_id]), False
                if holder.email_verified:
                    return AddressRefusal.CLAIMED
                tables.displace(key, account.user_id, now=now, actor=actor)
            made = new_user(account, now)
            tables.add_user(made, actor=actor)
            if account.has_generated_id:
                tables.link(subject, account.user_id, now=now, actor=actor)
            return _record(made), True

    async def update_account_profile(
        self,
        user_id: str,
        patch: AccountPatch,
        now: datetime,
        *,
        actor: str | None,
        expected_version: int | None = None,
    ) -> Versioned[AccountProfileResponse] | None:
        async with self._database.transaction() as session:
            tables = await session.writable()
            user = tables.account(user_id)
            if user is None or not user.is_active:
                return None
            _require_version(user, expected_version)
            if patch.email_key is not None and patch.email_verified:
                tables.displace(patch.email_key, user.user_id, now=now, actor=actor)
            patched = apply_patch(user, patch)
            if tables.account_by_email(patched.email_key) not in {None, user}:
                raise AccountValidationError.of("email", "is another account's already")
            if patch.email_key is not None:
                cancel_change(tables, user.user_id, now)
            by = user.user_id if actor == user_id else actor
            return _versioned(tables.update_user(patched, now=now, actor=by))

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
        async with self._database.transaction() as session:
            outcome = await self._profiles.update(
                session,
                user_id,
                patch,
                now,
                actor=actor,
                expected_version=expected_version,
                max_preferences_bytes=max_bytes,
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
        async with self._database.transaction() as session:
            tables = await session.writable()
            user = tables.account(user_id)
            if user is not None:
                _require_version(user, expected_version)
            return tables.set_account_status(
                user_id, is_active=is_active, is_deleted=is_deleted, now=now, reason=reason, actor=actor
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
        async with self._database.transaction() as session:
            tables = await session.writable()
            user = tables.account(user_id)
            if user is None or not user.is_active:
                return EmailChangeRefusal.NO_ACCOUNT
            _require_version(user, expected_version)
            applied = patch
            if user.email_key == change.email.key:
                applied = replace(patch, email=change.email.given, email_key=change.email.key)
            elif not request_change(tables, user.user_id, change):
                return EmailChangeRefusal.LIMIT
            by = user.user_id if actor == user_id else actor
            patched = apply_patch(user, applied)
            return _versioned(tables.update_user(patched, now=change.requested_at, actor=by))

    async def pending_email_change(self, user_id: str, now: datetime) -> EmailChangeResponse | None:
        return pending_change(self._database.committed(), user_id, now)

    async def hand_out_email_change(
        self, user_id: str, *, token_hash: bytes, now: datetime
    ) -> EmailChangeResponse | None:
        async with self._database.transaction() as session:
            return give_token(await session.writable(), user_id, token_hash, now)

    async def cancel_email_change(self, user_id: str, now: datetime) -> None:
        async with self._database.transaction() as session:
            cancel_change(await session.writable(), user_id, now)

    async def confirm_email_change(
        self, user_id: str, decide: Callable[[EmailChangeTerms | None], EmailChangeTerms], now: datetime
    ) -> AccountProfileResponse | None:
        async with self._database.transaction() as session:
            tables = await session.writable()
            change = decide(terms_of(tables, user_id))
            user = tables.users[user_id]
            if change.is_confirmed:
                return _record(user)
            tables.displace(change.email_key, user_id, now=now, actor=user_id)
            if tables.account_by_email(change.email_key) not in {None, user}:
                raise AccountValidationError.of("email", "is another account's already")
            patched = replace(user, email=change.email, email_key=change.email_key, email_verified=True)
            tables.email_changes[user_id] = replace(tables.email_changes[user_id], is_confirmed=True)
            return _record(tables.update_user(patched, now=now, actor=user_id))

    async def list_identities(self, user_id: str) -> LinkedIdentitiesResult | None:
        tables = self._database.committed()
        user = tables.account(user_id)
        if user is None or not user.is_active:
            return None
        linked = tables.identities_of(user.user_id)
        return LinkedIdentitiesResult(user.user_id, [combine(LinkedIdentityResult, one) for one in linked])

    async def link_identity(
        self, user_id: str, subject: Subject, now: datetime, *, actor: str | None
    ) -> LinkOutcome:
        async with self._database.transaction() as session:
            tables = await session.writable()
            user = tables.account(user_id)
            if user is None or not user.is_active:
                return LinkOutcome.NO_ACCOUNT
            linked = tables.identities.get(subject)
            owner = None if linked is None else linked.user_id
            same = tables.users.get(subject.id) if subject.issuer == "" else None
            if owner is None and same is not None and same.erased_at is None:
                owner = subject.id
            if owner is not None:
                return LinkOutcome.DONE if owner == user.user_id else LinkOutcome.TAKEN
            by = user.user_id if actor == user_id else actor
            tables.link(subject, user.user_id, now=now, actor=by)
            return LinkOutcome.DONE

    async def unlink_identity(
        self, user_id: str, subject: Subject, now: datetime, *, actor: str | None
    ) -> LinkOutcome:
        async with self._database.transaction() as session:
            tables = await session.writable()
            user = tables.account(user_id)
            if user is None or not user.is_active:
                return LinkOutcome.NO_ACCOUNT
            linked = tables.identities.get(subject)
            if linked is None or linked.user_id != user.user_id:
                return LinkOutcome.DONE
            if user.has_generated_id and len(tables.identities_of(user.user_id)) == 1:
                return LinkOutcome.LAST
            del tables.identities[subject]
            event = UserIdentityUnlinkedEventData(user.user_id, subject.issuer, subject.id, unlinked_at=now)
            tables.record(event, actor=user.user_id if actor == user_id else actor, at=now)
            return LinkOutcome.DONE

    async def record_sign_in(
        self, user_id: str, now: datetime, *, provider: str | None, actor: str | None
    ) -> bool:
        async with self._database.transaction() as session:
            tables = await session.writable()
            user = tables.account(user_id)
            if user is None or not user.is_active:
                return False
            if user.last_login_at is None or user.last_login_at <= now - timedelta(minutes=1):
                provider = provider or user.oauth_provider
                tables.users[user.user_id] = replace(
                    user, last_login_at=now, oauth_provider=provider, is_claimed=True
                )
                event = UserSignedInEventData(user.user_id, provider, signed_in_at=now)
                tables.record(event, actor=actor, at=now)
            return True

    async def list_accounts(
        self,
        wanted: AccountFilter,
        window: Window,
        *,
        max_counted: int,
        session: MemorySession | None = None,  # noqa: ARG002 - what is committed is read
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

    async def get_account_stats(
        self,
        now: datetime,
        *,
        session: MemorySession | None = None,  # noqa: ARG002 - see above
    ) -> AccountStatsResponse:
        return stats_of(self._database.committed(), now)

    async def check_connection(self) -> bool:
        return True


def stats_of(tables: Tables, now: datetime) -> AccountStatsResponse:
    users = tables.users.values()
    active = sum(user.is_active for user in users)
    return AccountStatsResponse(
        total_accounts=len(users),
        active_accounts=active,
        inactive_accounts=len(users) - active,
        recent_registrations_7d=sum(user.created_at >= now - timedelta(days=7) for user in users),
        recent_registrations_30d=sum(user.created_at >= now - timedelta(days=30) for user in users),
    )


def _matching(tables: Tables, wanted: AccountFilter) -> list[UserRow]:
    """An account's whole address finds that account alone."""
    users = [user for user in tables.users.values() if wanted.is_active in {None, user.is_active}]
    if wanted.term is None:
        return users
    with_address = [user for user in users if user.deleted_at is None and user.email_key == wanted.term]
    return with_address or [user for user in users if user.contains(wanted.term)]


def _require_version(user: UserRow, expected: int | None) -> None:
    if expected not in {None, user.version}:
        raise StaleVersionError.of_account()


def _versioned(user: UserRow) -> Versioned[AccountProfileResponse]:
    return Versioned(_record(user), user.version)


def _record(user: UserRow) -> AccountProfileResponse:
    return combine(AccountProfileResponse, user, preferences=orjson.loads(user.preferences))
