"""An SMTP server (RFC 5321): its URL, and connections to it. Needs the `mail` extra (aiosmtplib)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from hoc.mail.sender import MailUnavailableError
from hoc.mail.smtp_transmission import transmit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from email.message import EmailMessage
    from ssl import SSLContext

_DEFAULT_PORTS: Final = {"smtp": 25, "smtps": 465}
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
    """Seconds to connect, and again for each mail until the server has accepted it."""
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
        """Send on a connection of its own. Raises as `MailSender.send`."""
        client = await self.connect()
        try:
            await self.transmit(client, message)
        except BaseException:
            client.close()
            raise
        await leave(client)

    async def check(self) -> None:
        """Connect and log in, without sending a mail. Raises MailUnavailableError."""
        await leave(await self.connect())

    async def connect(self) -> SMTP:
        """A connection on which mails can be sent. Raises MailUnavailableError."""
        client = SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            use_tls=self.implicit_tls,
            start_tls=False if self.implicit_tls else (self.require_starttls or None),
            tls_context=self.tls_context,
            timeout=None,  # aiosmtplib's would apply to each reply; ours applies to the whole
        )
        try:
            async with self._in_time():
                await self._connect(client)
        except BaseException:
            client.close()
            raise
        return client

    async def transmit(self, client: SMTP, message: EmailMessage) -> None:
        """Send on a connection. Raises as `send`."""
        async with self._in_time():
            await transmit(client, message)

    @asynccontextmanager
    async def _in_time(self) -> AsyncGenerator[None]:
        try:
            async with asyncio.timeout(self.timeout):
                yield
        except TimeoutError:
            raise MailUnavailableError(f"the mail server did not answer within {self.timeout:g} s") from None

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


async def leave(client: SMTP) -> None:
    """Close a connection politely. An error of QUIT means nothing: an accepted mail stays accepted."""
    try:
        with suppress(SMTPException, OSError):
            await client.quit(timeout=_GOODBYE_SECONDS)
    finally:
        client.close()


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
