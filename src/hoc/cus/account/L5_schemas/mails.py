"""Mails that wait to be sent."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class QueuedMail(Protocol):
    """A mail claimed for sending. ``attempts`` includes this one; ``about`` names its subject in a log."""

    @property
    def mail_id(self) -> str: ...

    @property
    def attempts(self) -> int: ...

    @property
    def about(self) -> str: ...


@dataclass(frozen=True, slots=True)
class DueMail:
    """The mail of an invitation."""

    mail_id: str
    tenant_id: str
    invitation_id: str
    attempts: int

    @property
    def about(self) -> str:
        return f"invitation {self.invitation_id}"


@dataclass(frozen=True, slots=True)
class DueAccountMail:
    """A mail about an account.

    ``notice_to`` is an address that was replaced; None: the account's pending change is to be confirmed.
    ``locale`` is the account's.
    """

    mail_id: str
    attempts: int
    user_id: str
    notice_to: str | None
    locale: str | None

    @property
    def about(self) -> str:
        return f"account {self.user_id}"


@dataclass(frozen=True, slots=True)
class InvitationMailContent:
    """The content of an invitation's mail, except its token.

    ``locale`` is that of the account with the address, None if it has none.
    """

    tenant_id: str
    invitation_id: str
    email: str
    role: str
    tenant_name: str
    inviter_name: str | None
    expires_at: datetime
    locale: str | None
