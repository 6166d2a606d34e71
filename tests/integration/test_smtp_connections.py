"""Connections to a real SMTP server are kept, shared, and replaced when the server ends them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from email.message import EmailMessage

import pytest
from support.smtp import SmtpServer, smtp_server
from support.waiting import until

from hoc.mail.sender import MailRejectedError, MailUnavailableError
from hoc.mail.smtp import SmtpSender
from hoc.mail.smtp_connections import SmtpConnections


@pytest.fixture
def server() -> Generator[SmtpServer]:
    with smtp_server() as running:
        yield running


@asynccontextmanager
async def connected(
    server: SmtpServer, *, limit: int = 4, patience: float = 30, idle_seconds: float = 30
) -> AsyncGenerator[SmtpConnections]:
    sender = SmtpSender.from_url(server.url, timeout=patience)
    connections = SmtpConnections(sender, limit=limit, idle_seconds=idle_seconds)
    try:
        yield connections
    finally:
        await connections.aclose()


def mail(to: str = "ada@example.org") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "accounts@hoc.example", to, "Hello"
    message.set_content("Hello.")
    return message


async def send_all(connections: SmtpConnections, count: int) -> list[str]:
    """Send mails at once. Returns the recipients."""
    recipients = [f"person-{n}@example.org" for n in range(count)]
    await asyncio.gather(*(connections.send(mail(to)) for to in recipients))
    return recipients


def received(server: SmtpServer) -> list[str]:
    return sorted(mail.recipients[0] for mail in server.messages())


def closed(server: SmtpServer) -> Callable[[], Awaitable[bool]]:
    async def is_closed() -> bool:
        return server.connections().open == 0

    return is_closed


async def test_mails_share_a_few_connections(server: SmtpServer) -> None:
    server.delay(0.01)
    async with connected(server, limit=4) as connections:
        recipients = await send_all(connections, 20)
        await send_all(connections, 2)
        assert (server.connections().opened, server.connections().most) == (4, 4)
    assert set(received(server)) == set(recipients)
    await until(closed(server))


async def test_a_connection_that_the_server_ended_is_replaced(server: SmtpServer) -> None:
    async with connected(server) as connections:
        await connections.send(mail("first@example.org"))
        server.hang_up()
        await connections.send(mail("second@example.org"))
    assert received(server) == ["first@example.org", "second@example.org"]
    assert server.connections().opened == 2


async def test_a_mail_refused_for_the_connection_goes_out_on_another(server: SmtpServer) -> None:
    server.limit(mails=1)
    async with connected(server, limit=1) as connections:
        recipients = await send_all(connections, 3)
    assert received(server) == recipients
    assert server.connections().opened == 3


async def test_mails_wait_for_the_connections_that_a_server_allows(server: SmtpServer) -> None:
    server.limit(connections=2)
    server.delay(0.01)
    async with connected(server, limit=5) as connections:
        await send_all(connections, 2)
        recipients = await send_all(connections, 12)
        refused = server.connections().refused
        assert 0 < refused <= 3  # the other slots, once each
        await send_all(connections, 12)
        assert server.connections().refused == refused
    assert set(received(server)) == set(recipients)
    assert server.connections().most == 2


async def test_a_server_that_allows_none_is_a_temporary_failure(server: SmtpServer) -> None:
    server.limit(connections=0)
    async with connected(server) as connections:
        with pytest.raises(MailUnavailableError, match="SMTP 421"):
            await connections.send(mail())
        server.recover()
        await send_all(connections, 8)
    assert server.connections().most == 4  # every slot is free again


async def test_an_idle_connection_closes(server: SmtpServer) -> None:
    async with connected(server, idle_seconds=0) as connections:
        await send_all(connections, 3)
        await until(closed(server))
        await connections.send(mail())


@pytest.mark.parametrize(
    ("reply", "error", "opened"),
    [("550 5.1.1 Unknown", MailRejectedError, 1), ("451 4.3.0 Try later", MailUnavailableError, 2)],
)
async def test_a_refused_recipient_costs_no_connection(
    server: SmtpServer, reply: str, error: type[Exception], opened: int
) -> None:
    """After a refusal that is not of the recipient, the connection itself may be the reason."""
    async with connected(server) as connections:
        server.refuse("RCPT", reply)
        with pytest.raises(error):
            await connections.send(mail())
        server.recover()
        await connections.send(mail())
    assert server.connections().opened == opened


async def test_a_hanging_mail_holds_only_its_connection(server: SmtpServer) -> None:
    server.hang("hangs@example.org")
    async with connected(server, limit=2) as connections:
        hanging = asyncio.create_task(connections.send(mail("hangs@example.org")))
        recipients = await send_all(connections, 5)
        assert received(server) == recipients
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
        await send_all(connections, 2)
    await until(closed(server))


async def test_a_mail_without_a_free_connection_waits_its_time(server: SmtpServer) -> None:
    server.hang("hangs@example.org")
    async with connected(server, limit=1, patience=0.2) as connections:
        sent = await asyncio.gather(
            connections.send(mail("hangs@example.org")), connections.send(mail()), return_exceptions=True
        )
    assert [type(problem) for problem in sent] == [MailUnavailableError, MailUnavailableError]
