"""Sends mail over SMTP (RFC 5321), with one connection per mail. Needs the `mail` extra (aiosmtplib)."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

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
    from ssl import SSLContext

_DEFAULT_PORTS: Final = {"smtp": 25, "smtps": 465}
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
_GOODBYE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class SmtpSender:
    """A MailSender for one SMTP server. The envelope is the message's From (HOC_MAIL_FROM) and To."""

    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    implicit_tls: bool = False
    require_starttls: bool = False
    """False uses STARTTLS if the server offers it."""
    timeout: float = 30.0
    """Seconds for one mail, from connecting until the server has accepted it."""
    tls_context: SSLContext | None = field(default=None, repr=False)
    """None trusts the system's certificate authorities and checks the host name."""

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 30.0, tls_context: SSLContext | None = None) -> Self:
        """Read HOC_SMTP_URL: `smtp://[user:password@]host[:port][?starttls=required|optional]` or `smtps://…`.

        User and password are percent-encoded. By default, STARTTLS is required if a password would
        otherwise cross the network unencrypted. Raises ValueError for an invalid URL. Its text quotes no part
        of the URL, because each may belong to a password that was not encoded.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
            username = unquote(parts.username, errors="strict") if parts.username else None
            password = unquote(parts.password, errors="strict") if parts.password else None
        except ValueError:
            raise _bad_url("host, port or credentials cannot be parsed") from None
        if parts.scheme not in _DEFAULT_PORTS:
            raise _bad_url("the scheme must be smtp:// or smtps://")
        if not parts.hostname:
            raise _bad_url("the host is missing")
        if port == 0:
            raise _bad_url("the port must be between 1 and 65535")
        if parts.path not in {"", "/"} or parts.fragment:
            raise _bad_url("only ?starttls=… may follow host and port")
        if (username is None) != (password is None):
            raise _bad_url("user and password must be given together or not at all")
        implicit_tls = parts.scheme == "smtps"
        starttls = _starttls_option(parts.query, implicit_tls=implicit_tls)
        exposed = username is not None and not implicit_tls and not _is_loopback(parts.hostname)
        return cls(
            host=parts.hostname,
            port=port or _DEFAULT_PORTS[parts.scheme],
            username=username,
            password=password,
            implicit_tls=implicit_tls,
            require_starttls=starttls == "required" or (starttls is None and exposed),
            timeout=timeout,
            tls_context=tls_context,
        )

    async def send(self, message: EmailMessage) -> None:
        """Send to the server. Raises MailRejectedError or MailUnavailableError, as MailSender says."""
        client = self._client()
        try:
            async with asyncio.timeout(self.timeout):
                await self._connect(client)
                await _transmit(client, message)
            # The mail is accepted, so an error of QUIT must not make it look undelivered.
            with suppress(SMTPException, OSError):
                await client.quit(timeout=_GOODBYE_SECONDS)
        except TimeoutError:
            raise MailUnavailableError(f"the mail server did not answer within {self.timeout:g} s") from None
        finally:
            client.close()

    async def check(self) -> None:
        """Connect and log in, without sending a mail. Raises MailUnavailableError."""
        client = self._client()
        try:
            async with asyncio.timeout(self.timeout):
                await self._connect(client)
            with suppress(SMTPException, OSError):
                await client.quit(timeout=_GOODBYE_SECONDS)
        except TimeoutError:
            raise MailUnavailableError(f"the mail server did not answer within {self.timeout:g} s") from None
        finally:
            client.close()

    def _client(self) -> SMTP:
        return SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            use_tls=self.implicit_tls,
            start_tls=False if self.implicit_tls else (self.require_starttls or None),
            tls_context=self.tls_context,
            timeout=None,  # aiosmtplib's would apply to each reply; the callers' applies to the whole
        )

    async def _connect(self, client: SMTP) -> None:
        try:
            await client.connect()
        except SMTPResponseException as error:
            # Even after a 5xx a retry may succeed: the server refused the greeting or password, not the mail.
            raise MailUnavailableError(
                f"the mail server {self.host}:{self.port} refused the session (SMTP {error.code})"
            ) from None
        except (SMTPException, OSError) as error:
            raise MailUnavailableError(
                f"the connection to the mail server {self.host}:{self.port} failed ({type(error).__name__})"
            ) from None


async def _transmit(client: SMTP, message: EmailMessage) -> None:
    # `from None`, because a server's reply often quotes the address, and a traceback would print it.
    try:
        await client.send_message(message)
    except SMTPRecipientsRefused as error:
        refused = error.recipients[0]
        raise _refusal("the recipient", refused.code, refused.message) from None
    except SMTPDataError as error:
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


def _starttls_option(query: str, *, implicit_tls: bool) -> str | None:
    match parse_qsl(query, keep_blank_values=True):
        case []:
            return None
        case [("starttls", ("required" | "optional") as option)]:
            if implicit_tls:
                raise _bad_url("smtps:// uses TLS from the start, so starttls does not apply")
            return option
        case _:
            raise _bad_url("the only option is starttls=required or starttls=optional")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bad_url(problem: str) -> ValueError:
    return ValueError(
        f"HOC_SMTP_URL: {problem}. Expected smtp://user:password@host:587 or smtps://user:password@host,"
        " with special characters in user and password percent-encoded"
    )
