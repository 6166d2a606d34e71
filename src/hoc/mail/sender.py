"""The port through which the courier sends mail, and the two ways in which a delivery can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from email.message import EmailMessage


class MailError(Exception):
    """A mail was not delivered. The error's text has no address and no token, so it may be logged."""


class MailRejectedError(MailError):
    """This recipient can never get the mail, such as an address that does not exist: do not retry.

    Its text is the reason that the inviter sees.
    """


class MailUnavailableError(MailError):
    """The mail cannot be sent now, for a reason that is not the recipient's: retry later.

    The mail server is absent, slow, misconfigured or answers 4xx, or refuses us: no relaying, a limit.
    """


class MailSender(Protocol):
    """Accepts messages for delivery."""

    async def send(self, message: EmailMessage) -> None:
        """Return once the message has been accepted.

        Raises MailRejectedError when no retry can succeed, MailUnavailableError when one may. A retry may
        deliver a second copy, because a connection can break after the server has accepted the mail.
        """
        ...
