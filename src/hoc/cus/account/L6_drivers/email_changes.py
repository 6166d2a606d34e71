"""Changes of addresses that have yet to be confirmed."""

from dataclasses import dataclass
from datetime import datetime

import uuid_utils
from sqlalchemy import (
    Date,
    Integer,
    LargeBinary,
    String,
    case,
    delete,
    exists,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.identity import EmailChangeResponse
from hoc.cus.account.L5_schemas.port_types import EmailChangeTerms, NewEmailChange
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import ACCOUNT, NOW, USER
from hoc.cus.account.L6_drivers.queued_mails import MAIL
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import account_mails, email_changes, recipient_limits, users

EMAIL = param("email", String)
EMAIL_KEY = param("email_key", String)
EXPIRES_AT = param("expires_at", DateTime(timezone=True))
DAY = param("day", Date)
PER_ACCOUNT = param("per_account", Integer)
PER_RECIPIENT = param("per_recipient", Integer)
NOTICE_TO = param("notice_to", String)

RESULT = (
    email_changes.c.user_id,
    email_changes.c.email,
    email_changes.c.requested_at,
    email_changes.c.expires_at,
)

IS_PENDING = (
    email_changes.c.cancelled_at.is_(None)
    & email_changes.c.confirmed_at.is_(None)
    & (email_changes.c.expires_at > NOW)
)

LOCK_ACCOUNT = (
    select(users.c.user_id, users.c.email_key)
    .where(users.c.user_id == ACCOUNT, users.c.is_active)
    .with_for_update(key_share=True)
)


def _request() -> AnySelect:
    """Stores the change of a locked account in place of an earlier one, and queues its mail.

    No row: a limit is reached.
    """
    recipient_limit_reached = exists().where(
        recipient_limits.c.email_key == EMAIL_KEY,
        recipient_limits.c.day == DAY,
        recipient_limits.c.sent >= PER_RECIPIENT,
    )
    account_limit_reached = exists().where(
        email_changes.c.user_id == USER,
        email_changes.c.day == DAY,
        email_changes.c.requests >= PER_ACCOUNT,
    )
    slot = (
        insert(recipient_limits)
        .from_select(
            ["email_key", "day", "sent"],
            select(EMAIL_KEY, DAY, literal(1)).where(~recipient_limit_reached, ~account_limit_reached),
        )
        .on_conflict_do_update(
            index_elements=[recipient_limits.c.email_key, recipient_limits.c.day],
            set_={"sent": recipient_limits.c.sent + 1},
            where=recipient_limits.c.sent < PER_RECIPIENT,
        )
        .returning(recipient_limits.c.sent)
        .cte("slot")
    )
    given = {
        "email": EMAIL,
        "email_key": EMAIL_KEY,
        "token_hash": null(),
        "requested_at": NOW,
        "expires_at": EXPIRES_AT,
        "cancelled_at": null(),
        "confirmed_at": null(),
        "day": DAY,
    }
    requests = case((email_changes.c.day == DAY, email_changes.c.requests + 1), else_=1)
    requested = (
        insert(email_changes)
        .from_select(
            ["user_id", *given, "requests"], select(USER, *given.values(), literal(1)).select_from(slot)
        )
        .on_conflict_do_update(index_elements=[email_changes.c.user_id], set_=given | {"requests": requests})
        .returning(*RESULT)
        .cte("requested")
    )
    mail = {"mail_id": MAIL, "attempts": literal(0), "due_at": NOW}
    queued = (
        insert(account_mails)
        .from_select(["user_id", *mail], select(requested.c.user_id, *mail.values()))
        .on_conflict_do_update(
            index_elements=[account_mails.c.user_id],
            index_where=account_mails.c.notice_to.is_(None),
            set_=mail,
        )
        .cte("queued")
    )
    return select(requested).add_cte(queued)


REQUEST = _request()

PENDING = select(*RESULT).where(email_changes.c.user_id == ACCOUNT, IS_PENDING)

CANCEL = (
    update(email_changes)
    .where(email_changes.c.user_id == ACCOUNT, IS_PENDING)
    .values(cancelled_at=NOW, token_hash=null())
    .returning(email_changes.c.user_id)
)

# In one order: of two accounts that take each other's address, neither may wait for the other in turn.
LOCK_OWNERS = (
    select(users.c.user_id)
    .where(
        (users.c.user_id == USER)
        | users.c.deleted_at.is_(None)
        & (
            users.c.email_key
            == select(email_changes.c.email_key).where(email_changes.c.user_id == USER).scalar_subquery()
        )
    )
    .order_by(users.c.user_id)
    .with_for_update(key_share=True)
)

# The account first, as a request does: two transactions that lock in one order cannot wait for each other.
LOCK = (
    select(
        email_changes.c.user_id,
        users.c.is_active,
        case((users.c.email_key.is_not(None), users.c.email)).label("old_email"),
        email_changes.c.email,
        email_changes.c.email_key,
        email_changes.c.token_hash,
        email_changes.c.expires_at,
        email_changes.c.cancelled_at.is_not(None).label("is_cancelled"),
        email_changes.c.confirmed_at.is_not(None).label("is_confirmed"),
    )
    .join_from(users, email_changes, users.c.user_id == email_changes.c.user_id)
    .where(email_changes.c.user_id == USER)
    .with_for_update(key_share=True)
)

CONFIRM = (
    update(email_changes)
    .where(email_changes.c.user_id == USER)
    .values(confirmed_at=NOW)
    .returning(email_changes.c.user_id)
)

NOTIFY = (
    insert(account_mails)
    .values(mail_id=MAIL, user_id=USER, notice_to=NOTICE_TO, attempts=0, due_at=NOW)
    .returning(account_mails.c.mail_id)
)

ISSUE_TOKEN = (
    update(email_changes)
    .where(
        email_changes.c.user_id == USER,
        IS_PENDING,
        users.c.user_id == email_changes.c.user_id,
        users.c.is_active,
    )
    .values(token_hash=param("token_hash", LargeBinary))
    .returning(*RESULT)
)


def _hand_out() -> AnySelect:
    """Gives a pending change a token that is not mailed, and takes its mail out of the queue."""
    unqueued = (
        delete(account_mails)
        .where(account_mails.c.user_id == USER, account_mails.c.notice_to.is_(None))
        .cte("unqueued")
    )
    issued = ISSUE_TOKEN.cte("issued")
    return select(issued).add_cte(unqueued)


HAND_OUT = _hand_out()

_change = record_of(EmailChangeResponse, PENDING, REQUEST)


@dataclass(frozen=True, slots=True)
class LockedAccount:
    """``email_key``: None when the account has lost its address."""

    user_id: str
    email_key: str | None


class SqlEmailChanges:
    """In the caller's transaction. A ``user_id`` may be a linked subject where it says so."""

    async def lock_account(self, session: SqlSession, user_id: str) -> "LockedAccount | None":
        """Lock an active account, which a linked subject may name. None: there is no such account."""
        row = await fetch_one(session, LOCK_ACCOUNT, user_id=user_id)
        return None if row is None else LockedAccount(*row)

    async def request(
        self, session: SqlSession, user_id: str, change: NewEmailChange
    ) -> EmailChangeResponse | None:
        """Store a locked account's change and queue its mail. None: a limit of the day is reached."""
        row = await fetch_one(
            session,
            REQUEST,
            user_id=user_id,
            email=change.email.given,
            email_key=change.email.key,
            now=change.requested_at,
            expires_at=change.expires_at,
            day=change.requested_at.date(),
            per_account=change.per_account_per_day,
            per_recipient=change.per_recipient_per_day,
            mail_id=_mail_id(),
        )
        return None if row is None else _change(row)

    async def pending(self, session: SqlSession, user_id: str, now: datetime) -> EmailChangeResponse | None:
        """The change that can be confirmed. A linked subject may name the account."""
        row = await fetch_one(session, PENDING, user_id=user_id, now=now)
        return None if row is None else _change(row)

    async def cancel(self, session: SqlSession, user_id: str, now: datetime) -> None:
        """End the pending change, if there is one. A linked subject may name the account."""
        await fetch_one(session, CANCEL, user_id=user_id, now=now)

    async def lock(self, session: SqlSession, user_id: str) -> EmailChangeTerms | None:
        """The account's last change. It, the account and the address' owner are locked from now on."""
        await fetch_all(session, LOCK_OWNERS, user_id=user_id)
        row = await fetch_one(session, LOCK, user_id=user_id)
        return None if row is None else EmailChangeTerms(*row)

    async def confirm(self, session: SqlSession, user_id: str, old_email: str | None, now: datetime) -> None:
        """Mark the change as confirmed, and queue the notice to the address that it replaced."""
        await fetch_one(session, CONFIRM, user_id=user_id, now=now)
        if old_email is not None:
            notice = {"notice_to": old_email, "mail_id": _mail_id()}
            await fetch_one(session, NOTIFY, user_id=user_id, now=now, **notice)

    async def issue_token(
        self, session: SqlSession, user_id: str, *, token_hash: bytes, now: datetime
    ) -> EmailChangeResponse | None:
        """Give an active account's pending change this token; earlier ones are void. None: there is none."""
        row = await fetch_one(session, ISSUE_TOKEN, user_id=user_id, token_hash=token_hash, now=now)
        return None if row is None else _change(row)

    async def hand_out(
        self, session: SqlSession, user_id: str, *, token_hash: bytes, now: datetime
    ) -> EmailChangeResponse | None:
        """`issue_token`, for whoever passes the link on: its mail is not sent."""
        row = await fetch_one(session, HAND_OUT, user_id=user_id, token_hash=token_hash, now=now)
        return None if row is None else _change(row)


def _mail_id() -> str:
    return uuid_utils.uuid7().hex
