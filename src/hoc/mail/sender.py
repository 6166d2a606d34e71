"""The port through which the courier sends mail, and the two ways in which a delivery can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from email.message import EmailMessage


class MailError(Exception):
    """A mail was not delivered. The error's text has no address and no token, so it may be logged."""


class MailRejectedError(MailError):
    """This mail can never be delivered (SMTP 5xx for its recipient or content): do not retry."""


class MailUnavailableError(MailError):
    """The mail server cannot take the mail now (absent, slow, SMTP 4xx, misconfigured): retry later."""


class MailSender(Protocol):
    """Accepts messages for delivery."""

    async def send(self, message: EmailMessage) -> None:
        """Return once the message has been accepted.

        Raises MailRejectedError when no retry can succeed, MailUnavailableError when one may. A retry may
        deliver a second copy, because a connection can break after the server has accepted the mail.
        """
        ...
