"""Mail through a real SMTP server: its content, and which failures a retry may mend."""

from __future__ import annotations

import asyncio
import ssl
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.smtp import smtp_server

from hoc.mail.invitation_mail import InvitationMail, compose_invitation
from hoc.mail.message import MailWriter, link_in
from hoc.mail.sender import MailError, MailRejectedError, MailUnavailableError
from hoc.mail.smtp import SmtpSender
from hoc.mail.templating import MailTemplates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from support.smtp import Command, SmtpServer

TOKEN = "s3cret." * 20
LINK = f"https://app.example.com/invitations/0198c0de#token={TOKEN}"
TEMPLATES = MailTemplates()
MAIL = InvitationMail(
    to="ada@example.org",
    tenant_name="Société Générale",
    inviter_name="Jörg\n.\nQUIT",
    role="admin",
    invitation_id="0198c0de",
    token=TOKEN,
    link=LINK,
    expires_at=datetime(2031, 2, 3, tzinfo=UTC),
)


def invitation(to: str = MAIL.to) -> EmailMessage:
    return compose_invitation(replace(MAIL, to=to), MailWriter("Accounts <accounts@hoc.example>", TEMPLATES))


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with smtp_server() as running:
        yield running


@pytest.fixture(scope="module")
def shared_server() -> Iterator[SmtpServer]:
    with smtp_server() as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a PEM file with a key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test mail server")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


async def failure(sender: SmtpSender, message: EmailMessage) -> MailError:
    """Return the error of a send. Neither it nor its traceback may contain personal data."""
    with pytest.raises(MailError) as raised:
        await sender.send(message)
    shown = "".join(traceback.format_exception(raised.value))
    assert "ada@" not in shown
    assert TOKEN not in shown
    return raised.value


async def test_a_mail_arrives_byte_for_byte(server: SmtpServer) -> None:
    message = invitation()
    await SmtpSender.from_url(server.url).send(message)

    [mail] = server.messages()
    assert (mail.sender, mail.recipients) == ("accounts@hoc.example", ["ada@example.org"])
    assert mail.content == message.as_bytes()
    assert mail.message["Subject"] == "You are invited to Société Générale"
    assert link_in(mail.message) == (LINK, TOKEN)
    assert not mail.tls
    assert mail.user is None


async def test_an_internationalized_address_gets_its_mail(server: SmtpServer) -> None:
    message = invitation("jörg@bücher.example")
    await SmtpSender.from_url(server.url).send(message)

    [mail] = server.messages()
    assert mail.recipients == ["jörg@xn--bcher-kva.example"]
    assert "SMTPUTF8" in mail.options
    assert mail.content == message.as_bytes()


async def test_an_internationalized_local_part_needs_smtputf8() -> None:
    with smtp_server(smtputf8=False) as server:
        sender = SmtpSender.from_url(server.url)
        assert isinstance(await failure(sender, invitation("jörg@example.org")), MailRejectedError)
        await sender.send(invitation("ada@bücher.example"))  # a domain has an ASCII form
        assert [mail.recipients for mail in server.messages()] == [["ada@xn--bcher-kva.example"]]


@pytest.mark.parametrize(
    ("command", "reply", "expected"),
    [
        ("MAIL", "451 4.3.0 Try later", MailUnavailableError),
        ("MAIL", "550 5.7.1 Not your domain", MailUnavailableError),
        ("RCPT", "451 4.7.1 <ada@example.org> is greylisted", MailUnavailableError),
        ("RCPT", "421 4.3.2 Shutting down", MailUnavailableError),
        ("RCPT", "550 5.1.1 <ada@example.org> is unknown", MailRejectedError),
        ("DATA", "452 4.3.1 Disk full", MailUnavailableError),
        ("DATA", "554 5.6.0 Refused: ada@example.org", MailUnavailableError),
        # About us: mended on our side, or over tomorrow.
        ("RCPT", "554 5.7.1 <ada@example.org>: Relay access denied", MailUnavailableError),
        ("RCPT", "550 relay not permitted", MailUnavailableError),
        ("RCPT", "530 5.7.0 Authentication required", MailUnavailableError),
        ("RCPT", "550 5.4.5 Daily sending limit exceeded", MailUnavailableError),
        ("RCPT", "550 Daily sending limit exceeded for ada@example.org", MailUnavailableError),
        ("RCPT", "554 Too busy, try again later", MailUnavailableError),
        ("RCPT", "550 5.2.1 Too many messages, please resend at a later time", MailUnavailableError),
        ("RCPT", "550 5.1.8 Sender's domain not found", MailUnavailableError),
        ("RCPT", "554 5.7.1 Blocked, see https://list.example", MailUnavailableError),
        ("DATA", "550 5.7.1 Looks like spam", MailUnavailableError),
        ("DATA", "554 Transaction failed", MailUnavailableError),
        # About the recipient: no retry helps.
        ("RCPT", "550 5.1.1 Unknown. Check the address and try again.", MailRejectedError),
        ("RCPT", "550 5.1.1 User unknown in relay recipient table", MailRejectedError),
        ("RCPT", "550 No such user here", MailRejectedError),
        ("RCPT", "550 <relay.limit@temporary.example> is unknown", MailRejectedError),
        ("RCPT", "552 5.2.2 Mailbox full", MailRejectedError),
        ("RCPT", "556 5.1.10 The domain has a null MX", MailRejectedError),
        ("DATA", "550 5.1.1 <ada@example.org> is unknown", MailRejectedError),
    ],
)
async def test_only_a_refusal_of_the_recipient_is_permanent(
    shared_server: SmtpServer, command: Command, reply: str, expected: type[MailError]
) -> None:
    server, sent = shared_server, len(shared_server.messages())
    sender = SmtpSender.from_url(server.url)
    server.refuse(command, reply)
    error = await failure(sender, invitation())
    assert type(error) is expected
    assert reply[:3] in str(error)

    server.recover()
    await sender.send(invitation())
    assert len(server.messages()) == sent + 1


@pytest.mark.parametrize("reply", ["251 2.0.0 Queued elsewhere", "252 Will attempt delivery"])
async def test_any_positive_reply_accepts_the_mail(server: SmtpServer, reply: str) -> None:
    server.refuse("DATA", reply)
    await SmtpSender.from_url(server.url).send(invitation())


async def test_an_absent_server_is_a_temporary_failure(server: SmtpServer) -> None:
    server.kill()
    assert isinstance(await failure(SmtpSender.from_url(server.url), invitation()), MailUnavailableError)


async def test_a_host_that_does_not_exist_is_a_temporary_failure() -> None:
    sender = SmtpSender.from_url("smtp://mail.invalid")
    assert isinstance(await failure(sender, invitation()), MailUnavailableError)


async def test_a_server_that_never_answers_is_given_up(server: SmtpServer) -> None:
    sender = SmtpSender.from_url(server.url, timeout=0.5)
    server.freeze()
    assert isinstance(await failure(sender, invitation()), MailUnavailableError)


async def test_a_slow_server_is_given_up(server: SmtpServer) -> None:
    server.delay(0.7)  # each reply is in time, but not all of them together
    sender = SmtpSender.from_url(server.url, timeout=1.2)
    assert isinstance(await failure(sender, invitation()), MailUnavailableError)


async def test_a_server_that_hangs_up_is_a_temporary_failure() -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()
        assert isinstance(await failure(SmtpSender(host, port), invitation()), MailUnavailableError)


async def test_an_accepted_mail_counts_although_quit_fails() -> None:
    async def hang_up_after_accepting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        for reply in (b"250 hello\r\n", b"250 sender\r\n", b"250 recipient\r\n", b"354 go on\r\n"):
            await reader.readline()
            writer.write(reply)
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 accepted\r\n")
        await reader.readline()
        writer.close()

    async with await asyncio.start_server(hang_up_after_accepting, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()
        await SmtpSender(host, port).send(invitation())


async def test_credentials_are_used() -> None:
    with smtp_server(credentials=("me@example.org", "p:/@ü%")) as server:
        await SmtpSender.from_url(server.url).send(invitation())
        assert [mail.user for mail in server.messages()] == ["me@example.org"]

        port = urlsplit(server.url).port
        wrong = SmtpSender.from_url(f"smtp://me:hunter2@127.0.0.1:{port}")
        error = await failure(wrong, invitation())
        assert isinstance(error, MailUnavailableError)
        assert "535" in str(error)
        assert "hunter2" not in "".join(traceback.format_exception(error))


async def test_starttls_is_used_when_offered(certificate: Path) -> None:
    with smtp_server(certificate=certificate, credentials=("me", "pw")) as server:
        await SmtpSender.from_url(server.url, tls_context=trusting(certificate)).send(invitation())
        assert [(mail.tls, mail.user) for mail in server.messages()] == [(True, "me")]


async def test_required_starttls_that_is_not_offered_sends_nothing(server: SmtpServer) -> None:
    sender = SmtpSender.from_url(f"{server.url}?starttls=required")
    assert isinstance(await failure(sender, invitation()), MailUnavailableError)
    assert server.messages() == []


@pytest.mark.parametrize("implicit_tls", [False, True])
async def test_an_untrusted_certificate_sends_nothing(certificate: Path, *, implicit_tls: bool) -> None:
    with smtp_server(certificate=certificate, implicit_tls=implicit_tls) as server:
        assert isinstance(await failure(SmtpSender.from_url(server.url), invitation()), MailUnavailableError)
        assert server.messages() == []


async def test_implicit_tls_is_used(certificate: Path) -> None:
    with smtp_server(certificate=certificate, implicit_tls=True) as server:
        await SmtpSender.from_url(server.url, tls_context=trusting(certificate)).send(invitation())
        assert [mail.tls for mail in server.messages()] == [True]


async def test_a_message_without_a_recipient_is_rejected(server: SmtpServer) -> None:
    message = invitation()
    del message["To"]
    assert isinstance(await failure(SmtpSender.from_url(server.url), message), MailRejectedError)


async def test_a_cancelled_send_leaves_no_connection_open() -> None:
    loop = asyncio.get_running_loop()
    connected: asyncio.Future[None] = loop.create_future()
    hung_up: asyncio.Future[bytes] = loop.create_future()

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set_result(None)
        hung_up.set_result(await reader.read())
        writer.close()

    async with await asyncio.start_server(keep_silent, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()
        sending = asyncio.create_task(SmtpSender(host, port).send(invitation()))
        await connected
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert await hung_up == b""
