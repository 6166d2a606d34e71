"""Changes of an account's address: at once, or when the owner of the new one has confirmed it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.identity import AccountProfileResponse
from hoc.cus.account.L5_schemas.port_types import (
    AccountPatch,
    EmailChangeRefusal,
    EmailChangeTerms,
    NewEmailChange,
    Versioned,
)
from hoc.cus.account.L6_drivers import account_records
from hoc.cus.account.L6_drivers.email_changes import SqlEmailChanges
from hoc.cus.account.L6_drivers.execution import SqlSession
from hoc.cus.account.L6_drivers.identities import SqlIdentities

_identities = SqlIdentities()
_email_changes = SqlEmailChanges()


async def change_address(
    session: SqlSession,
    user_id: str,
    patch: AccountPatch,
    now: datetime,
    *,
    actor: str | None,
    expected_version: int | None,
) -> Versioned[AccountProfileResponse] | None:
    """Update an account with another address. None: there is no such active account."""
    if patch.email_key is not None and patch.email_verified:
        await _identities.displace(session, patch.email_key, user_id, now, actor=actor)
    account = await account_records.update(
        session, user_id, patch, now, actor=actor, expected_version=expected_version
    )
    await _email_changes.cancel(session, user_id, now)
    return account


async def request_change(
    session: SqlSession,
    user_id: str,
    patch: AccountPatch,
    change: NewEmailChange,
    *,
    actor: str | None,
    expected_version: int | None,
) -> Versioned[AccountProfileResponse] | EmailChangeRefusal:
    """Apply the patch, and store the change of the address until it is confirmed."""
    account = await _email_changes.lock_account(session, user_id)
    if account is None:
        return EmailChangeRefusal.NO_ACCOUNT
    applied = patch
    if account.email_key == change.email.key:  # the same mailbox in another spelling
        applied = replace(patch, email=change.email.given, email_key=change.email.key)
    elif await _email_changes.request(session, account.user_id, change) is None:
        return EmailChangeRefusal.LIMIT
    updated = await account_records.update(
        session,
        account.user_id,
        applied,
        change.requested_at,
        actor=actor,
        expected_version=expected_version,
    )
    return EmailChangeRefusal.NO_ACCOUNT if updated is None else updated


async def confirm_change(
    session: SqlSession,
    user_id: str,
    decide: Callable[[EmailChangeTerms | None], EmailChangeTerms],
    now: datetime,
) -> AccountProfileResponse | None:
    """Give the account the address of its change, if ``decide`` lets it. None: there is no active account."""
    change = decide(await _email_changes.lock(session, user_id))
    if change.is_confirmed:
        return await account_records.stored_as(session, user_id)
    await _identities.displace(session, change.email_key, user_id, now, actor=user_id)
    patch = AccountPatch(email=change.email, email_key=change.email_key, email_verified=True)
    account = await account_records.update(session, user_id, patch, now, actor=user_id)
    await _email_changes.confirm(session, user_id, change.old_email, now)
    return None if account is None else account.value
