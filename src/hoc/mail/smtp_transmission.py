"""Sends one message on an open SMTP connection, and says which refusals are for good."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from hoc.mail.sender import MailError, MailRejectedError, MailUnavailableError

if TYPE_CHECKING:
    from email.message import EmailMessage

_ACCEPTED: Final = range(200, 300)  # RFC 5321, 4.2.1: any 2yz is a positive reply, and not 250 alone
_PERMANENT: Final = 500  # RFC 5321, 4.2.1: 5yz is a permanent negative reply
_ENHANCED: Final = re.compile(r"5\.\d{1,3}\.\d{1,3}\b")
# RFC 3463: the address (but 5.1.7 and 5.1.8 are the sender's) and the mailbox; 5.4.4 is a domain without a
# mail server, 5.6.7 an address that needs SMTPUTF8.
_ABOUT_RECIPIENT: Final = re.compile(r"5\.(?:1\.(?![78]$)|2\.|4\.4$|6\.7$)")
_RECIPIENT_CODES: Final = frozenset({550, 551, 552, 553, 556})
"""What a server without enhanced codes says of a mailbox. Only those: 554 and 53x are about the session."""
_ADDRESS: Final = re.compile(r"\S+@\S+")
_LATER: Final = re.compile(r"\b(?:again|try|retry)\b[^.]*\blater\b|\blater time\b|temporar", re.IGNORECASE)
_ABOUT_US: Final = re.compile(
    r"relay|authenti|\bsend(?:er|ing)\b|\blog ?in\b|too many|\brate\b|limit|spam|policy|reputation|block",
    re.IGNORECASE,
)


async def transmit(client: SMTP, message: EmailMessage) -> None:
    """Return once the server has accepted the message. Raises as `MailSender.send`."""
    # `from None`, because a server's reply often quotes the address, and a traceback would print it.
    try:
        await client.send_message(message)
    except SMTPRecipientsRefused as error:
        refused = error.recipients[0]
        raise _refusal("the recipient", refused.code, refused.message) from None
    except SMTPDataError as error:
        if error.code in _ACCEPTED:
            return
        raise _refusal("the message", error.code, error.message) from None
    except SMTPResponseException as error:
        # The sender is configuration. Once that is corrected, the same mail is accepted.
        raise MailUnavailableError(f"the mail server refused the sender (SMTP {error.code})") from None
    except SMTPNotSupported:
        raise MailRejectedError("the address needs SMTPUTF8, which the mail server lacks") from None
    except (SMTPException, OSError) as error:
        raise MailUnavailableError(f"the mail server's connection broke ({type(error).__name__})") from None
    except ValueError:
        raise MailRejectedError("the message has no valid sender or no valid recipient") from None


def _refusal(what: str, code: int, text: str) -> MailError:
    enhanced = _ENHANCED.match(text)
    error = MailRejectedError if _is_about_recipient(code, enhanced, text) else MailUnavailableError
    shown = f"{code} {enhanced[0]}" if enhanced else str(code)
    return error(f"the mail server refused {what} (SMTP {shown})")


def _is_about_recipient(code: int, enhanced: re.Match[str] | None, text: str) -> bool:
    """Whether the refusal is of this recipient, for good.

    Everything else is about us, the sender's server or account, and ends when that is mended.
    """
    said = _ADDRESS.sub("", text)
    if code < _PERMANENT or _LATER.search(said):
        return False
    if enhanced:
        return _ABOUT_RECIPIENT.match(enhanced[0]) is not None
    return code in _RECIPIENT_CODES and not _ABOUT_US.search(said)
