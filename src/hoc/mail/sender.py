"""What the courier needs of a way out for mail, and the two ways a delivery can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from email.message import EmailMessage


class MailError(Exception):
    """A mail was not delivered. The text names no address and no token, so it may be logged and stored."""


class MailRejectedError(MailError):
    """This mail can never be delivered (SMTP 5xx for its recipient or content): do not retry."""


class MailUnavailableError(MailError):
    """The mail server cannot take the mail now (absent, slow, SMTP 4xx, misconfigured): retry later."""


class MailSender(Protocol):
    """Takes responsibility for a message, or raises."""

    async def send(self, message: EmailMessage) -> None:
        """Return once the message has been accepted.

        Raises MailRejectedError when it never will be, MailUnavailableError when a retry may succeed. A
        retry may deliver a second copy: a connection can break after the server accepted the mail.
        """
        ...
