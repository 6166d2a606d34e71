"""The change of an address by its owner: it takes effect when the link mailed to the new address is used."""

import hmac
from datetime import datetime, timedelta
from typing import Final, Protocol

from hoc.cus.account.L5_engines.invitation_mail import token_hash
from hoc.cus.account.L5_engines.session import Session, new_secret
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.errors import EmailChangeExpiredError, NotFoundError
from hoc.cus.account.L5_schemas.identity import EmailChangeResponse
from hoc.cus.account.L5_schemas.port_types import EmailAddress, EmailChangeTerms, NewEmailChange

LIFETIME: Final = timedelta(hours=24)
PER_ACCOUNT_PER_DAY: Final = 5
MAX_TOKEN_LENGTH: Final = 512


class EmailChangeStore(Protocol):
    async def issue_token(
        self, session: Session, user_id: str, *, token_hash: bytes, now: datetime
    ) -> EmailChangeResponse | None:
        """Give the pending change this token; None when there is none any more."""
        ...


async def issue_email_token(
    changes: EmailChangeStore, session: Session, user_id: str, *, now: datetime
) -> tuple[EmailChangeResponse, str] | None:
    """The pending change and a new raw token, which names the account; every earlier token is dead.

    None when no change is pending.
    """
    token = new_email_token(user_id)
    change = await changes.issue_token(session, user_id, token_hash=token_hash(token), now=now)
    return None if change is None else (change, token)


def new_email_token(user_id: str) -> str:
    """A raw token, which names the account."""
    return f"{user_id}.{new_secret()}"


def new_change(email: EmailAddress, now: datetime, *, mails_per_recipient_per_day: int) -> NewEmailChange:
    return NewEmailChange(email, now, now + LIFETIME, PER_ACCOUNT_PER_DAY, mails_per_recipient_per_day)


def account_of(token: str) -> str:
    """The account that a token names. Raises NotFoundError for what cannot be a token."""
    user_id, _, secret = token.rpartition(".") if len(token) <= MAX_TOKEN_LENGTH else ("", "", "")
    if not (secret and is_storable_id(user_id)):
        raise _no_such_change()
    return user_id


def require_confirmable(change: EmailChangeTerms | None, token: str, now: datetime) -> EmailChangeTerms:
    """The change, if the token is its own. Raises NotFoundError or EmailChangeExpiredError."""
    if change is None or change.token_hash is None or change.is_cancelled or not change.is_active:
        raise _no_such_change()
    if not hmac.compare_digest(change.token_hash, token_hash(token)):
        raise _no_such_change()
    if not change.is_confirmed and change.expires_at <= now:
        raise EmailChangeExpiredError("This link has expired. Ask for the change of your address again.")
    return change


def _no_such_change() -> NotFoundError:
    return NotFoundError("There is no such change of an address, or the token is wrong.")
