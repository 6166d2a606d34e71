"""Changes of addresses that have yet to be confirmed, in memory."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.identity import EmailChangeResponse
from hoc.cus.account.L5_schemas.port_types import EmailChangeTerms, NewEmailChange
from hoc.testing.database import MemorySession
from hoc.testing.rows import EmailChangeRow
from hoc.testing.store import MemoryStore
from hoc.testing.tables import Tables


class MemoryEmailChanges(MemoryStore):
    async def issue_token(
        self, session: MemorySession, user_id: str, *, token_hash: bytes, now: datetime
    ) -> EmailChangeResponse | None:
        return give_token(await self.write(session), user_id, token_hash, now)


def request_change(tables: Tables, user_id: str, change: NewEmailChange) -> bool:
    """Store a change, and count its mail. False: a limit of the day is reached."""
    day = change.requested_at.date()
    last = tables.email_changes.get(user_id)
    requests = last.requests if last is not None and last.requested_at.date() == day else 0
    mails = tables.recipient_mails.get((change.email.key, day), 0)
    if requests >= change.per_account_per_day or mails >= change.per_recipient_per_day:
        return False
    tables.recipient_mails[change.email.key, day] = mails + 1
    tables.email_changes[user_id] = EmailChangeRow(
        change.email.given, change.email.key, change.requested_at, change.expires_at, requests + 1
    )
    return True


def give_token(tables: Tables, user_id: str, token_hash: bytes, now: datetime) -> EmailChangeResponse | None:
    """Give an active account's pending change this token; earlier ones are void. None: there is none."""
    pending = pending_change(tables, user_id, now)
    if pending is None or not tables.users[pending.user_id].is_active:
        return None
    change = tables.email_changes[pending.user_id]
    tables.email_changes[pending.user_id] = replace(change, token_hash=token_hash)
    return pending


def pending_change(tables: Tables, user_id: str, now: datetime) -> EmailChangeResponse | None:
    user = tables.account(user_id)
    change = None if user is None else tables.email_changes.get(user.user_id)
    if user is None or change is None:
        return None
    if change.is_cancelled or change.is_confirmed or change.expires_at <= now:
        return None
    return EmailChangeResponse(user.user_id, change.email, change.requested_at, change.expires_at)


def cancel_change(tables: Tables, user_id: str, now: datetime) -> None:
    """End the pending change, if there is one."""
    if (pending := pending_change(tables, user_id, now)) is not None:
        change = tables.email_changes[pending.user_id]
        tables.email_changes[pending.user_id] = replace(change, is_cancelled=True, token_hash=None)


def terms_of(tables: Tables, user_id: str) -> EmailChangeTerms | None:
    change, user = tables.email_changes.get(user_id), tables.users.get(user_id)
    if change is None or user is None:
        return None
    return EmailChangeTerms(
        user_id=user_id,
        is_active=user.is_active,
        old_email=None if user.email_key is None else user.email,
        email=change.email,
        email_key=change.email_key,
        token_hash=change.token_hash,
        expires_at=change.expires_at,
        is_cancelled=change.is_cancelled,
        is_confirmed=change.is_confirmed,
    )
