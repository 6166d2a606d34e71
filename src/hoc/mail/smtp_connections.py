"""Keeps connections to an SMTP server, and sends several mails at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from hoc.concurrency.limiter import Limiter
from hoc.concurrency.per_loop import PerLoop
from hoc.mail.sender import MailRejectedError, MailUnavailableError
from hoc.mail.smtp import SmtpSender, leave

if TYPE_CHECKING:
    from email.message import EmailMessage

    from aiosmtplib import SMTP

IDLE_SECONDS: Final = 30.0
"""Less than servers (five minutes, RFC 5321, 4.5.3.2.7) and NAT gateways keep an idle connection."""
FEWER_SECONDS: Final = 60.0
MAILS_PER_CONNECTION: Final = 100
"""Many servers accept no more on one connection."""


class SmtpConnections:
    """A MailSender that sends up to ``limit`` mails at once, each on a connection that the next mail uses.

    A connection that the server has ended is replaced. While the server refuses a further connection, those
    that it has accepted are used. `aclose` closes the connections that no mail is using.
    """

    def __init__(self, server: SmtpSender, *, limit: int, idle_seconds: float = IDLE_SECONDS) -> None:
        self._pools = PerLoop(lambda: _Pool(server, limit, idle_seconds))

    async def send(self, message: EmailMessage) -> None:
        """Return once the server has accepted the message. Raises as `MailSender.send`."""
        await self._pools.get().send(message)

    async def aclose(self) -> None:
        await self._pools.get().close()


@dataclass(slots=True, eq=False)
class _Connection:
    client: SMTP
    mails: int = 0
    idle_since: float = 0.0


class _Pool:
    """Belongs to one event loop. Who holds a slot of the limiter may hold a connection."""

    def __init__(self, server: SmtpSender, limit: int, idle_seconds: float) -> None:
        self._server = server
        self._idle_seconds = idle_seconds
        self._slots: Limiter[_Connection] = Limiter(limit, timeout_seconds=server.timeout)
        self._idle: list[_Connection] = []  # the one that was used last is at the end
        self._open = 0
        self._timer: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def send(self, message: EmailMessage) -> None:
        while not await self._sent(message):
            pass

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._leave(len(self._idle))
        await asyncio.gather(*self._leaving)

    async def _sent(self, message: EmailMessage) -> bool:
        """False: the server had ended a kept connection, as it may at any time, and it was thrown away."""
        connection = await self._take()
        try:
            await self._server.transmit(connection.client, message)
        except MailRejectedError:
            self._give_back(connection)
            raise
        except BaseException as problem:
            was_ended = not connection.client.is_connected
            self._throw_away(connection)
            if was_ended and connection.mails and isinstance(problem, MailUnavailableError):
                return False
            raise
        self._give_back(connection)
        return True

    async def _take(self) -> _Connection:
        while True:
            kept = await self._slot()
            while kept or self._idle:
                connection = kept or self._idle.pop()
                if connection.client.is_connected:
                    return connection
                self._open -= 1
                kept = None
            if opened := await self._opened():
                return opened

    async def _slot(self) -> _Connection | None:
        """Wait for a slot. Returns the connection of its last holder, if the holder waited for no other."""
        try:
            return await self._slots.acquire()
        except TimeoutError:
            raise MailUnavailableError(
                f"no connection to the mail server became free within {self._server.timeout:g} s"
            ) from None

    async def _opened(self) -> _Connection | None:
        """A new connection for a slot. None: the server takes no more beside the open ones for now.

        The slot is then not used for a while, so that mails wait for the open connections.
        """
        try:
            client = await self._server.connect()
        except MailUnavailableError:
            if self._open:
                asyncio.get_running_loop().call_later(FEWER_SECONDS, self._slots.release, None)
                return None
            self._slots.release(None)
            raise
        except BaseException:
            self._slots.release(None)
            raise
        self._open += 1
        return _Connection(client)

    def _give_back(self, connection: _Connection) -> None:
        connection.mails += 1
        if not connection.client.is_connected or connection.mails >= MAILS_PER_CONNECTION:
            self._throw_away(connection)
        elif self._slots.release(connection) is not None:
            connection.idle_since = monotonic()
            self._idle.append(connection)
            self._watch()

    def _throw_away(self, connection: _Connection) -> None:
        connection.client.close()
        self._open -= 1
        self._slots.release(None)

    def _watch(self) -> None:
        """Start the timer that closes the connection that has been idle for longest."""
        if self._idle and self._timer is None:
            left = self._idle[0].idle_since + self._idle_seconds - monotonic()
            self._timer = asyncio.get_running_loop().call_later(left, self._leave_idle)

    def _leave_idle(self) -> None:
        self._timer = None
        before = monotonic() - self._idle_seconds
        self._leave(sum(connection.idle_since <= before for connection in self._idle))
        self._watch()

    def _leave(self, count: int) -> None:
        """Close the ``count`` connections that have been idle for longest."""
        leaving, self._idle = self._idle[:count], self._idle[count:]
        self._open -= len(leaving)
        for connection in leaving:
            task = asyncio.create_task(leave(connection.client), name="hoc-smtp-quit")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
