"""The development mailbox returns the mail that was sent, in order, beside any number of writers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from hoc.mail.invitation_mail import InvitationMail, compose_invitation
from hoc.mail.mailbox import DeliveredMail, DevelopmentMailbox
from hoc.mail.message import MailWriter
from hoc.mail.sender import MailUnavailableError
from hoc.mail.templating import MailTemplates

if TYPE_CHECKING:
    from pathlib import Path


TEMPLATES = MailTemplates()


def invitation(
    number: int, *, to: str = "ada@example.org", tenant_name: str = "Analytical Engines"
) -> EmailMessage:
    token = f"{number}." + "secret-_" * 20
    mail = InvitationMail(
        to=to,
        tenant_name=tenant_name,
        inviter_name=None,
        role="member",
        invitation_id=f"id-{number}",
        token=token,
        link=f"http://127.0.0.1:8201/invitations/id-{number}#token={quote(token, safe='')}",
        expires_at=datetime(2031, 2, 3, tzinfo=UTC),
    )
    return compose_invitation(mail, MailWriter("hoc@localhost", TEMPLATES))


async def test_an_invitation_is_read_as_it_was_sent(tmp_path: Path) -> None:
    mailbox = DevelopmentMailbox(tmp_path / "data" / "mail")
    await mailbox.send(invitation(1, to="jörg@example.org", tenant_name="Société " * 9))

    token = "1." + "secret-_" * 20
    assert mailbox.read() == [
        DeliveredMail(
            to="jörg@example.org",
            subject="You are invited to " + ("Société " * 9).strip(),
            invitation_id="id-1",
            token=token,
            link=f"http://127.0.0.1:8201/invitations/id-1#token={token}",
        )
    ]


def test_reading_a_missing_mailbox_does_not_create_it(tmp_path: Path) -> None:
    assert DevelopmentMailbox(tmp_path / "mail").read() == []
    assert not (tmp_path / "mail").exists()


async def test_mail_is_read_in_the_order_of_delivery(tmp_path: Path) -> None:
    mailbox = DevelopmentMailbox(tmp_path)
    for number in range(50):
        await mailbox.send(invitation(number))
    assert [mail.invitation_id for mail in mailbox.read()] == [f"id-{number}" for number in range(50)]


def test_order_is_by_time_not_by_name(tmp_path: Path) -> None:
    for name in ("new", "cur", "tmp"):
        (tmp_path / name).mkdir()
    names = ["99.M5P2Q1.h", "100.M20P2Q1.h", "100.M100P1Q1.h", "100.M100P1Q2.h", "100.M100P1Q10.h"]
    for number, name in enumerate(names):
        (tmp_path / "new" / name).write_bytes(invitation(number).as_bytes())
    assert [mail.invitation_id for mail in DevelopmentMailbox(tmp_path).read()] == [
        f"id-{n}" for n in range(5)
    ]


async def test_only_the_owner_can_read_a_mailbox(tmp_path: Path) -> None:
    path = tmp_path / "mail"
    path.mkdir(mode=0o755)
    await DevelopmentMailbox(path).send(invitation(1))
    assert {entry.stat().st_mode & 0o777 for entry in (path, *path.iterdir())} == {0o700}


async def test_mail_other_than_invitations_is_left_out(tmp_path: Path) -> None:
    mailbox = DevelopmentMailbox(tmp_path)
    other = EmailMessage()
    other["Subject"] = "Welcome"
    other.set_content("http://127.0.0.1/invitations/x#token=y")
    await mailbox.send(other)
    assert mailbox.read() == []


async def test_an_unwritable_mailbox_is_a_temporary_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MailUnavailableError, match="cannot be written"):
        await DevelopmentMailbox(tmp_path / "file" / "mail").send(invitation(1))


async def test_concurrent_sends_of_one_process_lose_nothing(tmp_path: Path) -> None:
    boxes = [DevelopmentMailbox(tmp_path / "mail") for _ in range(4)]
    await asyncio.gather(*(boxes[number % 4].send(invitation(number)) for number in range(200)))
    assert {mail.invitation_id for mail in boxes[0].read()} == {f"id-{number}" for number in range(200)}


WRITER = """
import asyncio, sys
from email import message_from_bytes, policy
from email.message import EmailMessage
from hoc.mail.mailbox import DevelopmentMailbox

async def main():
    message = message_from_bytes(sys.stdin.buffer.read(), EmailMessage, policy=policy.SMTP)
    mailbox = DevelopmentMailbox(sys.argv[1])
    for _ in range(100):
        await mailbox.send(message)

asyncio.run(main())
"""


def test_a_reader_sees_whole_mails_only(tmp_path: Path) -> None:
    path = tmp_path / "mail"
    mailbox = DevelopmentMailbox(path)
    mail = tmp_path / "mail.eml"
    mail.write_bytes(invitation(1).as_bytes())
    writers: list[subprocess.Popen[bytes]] = []
    for _ in range(2):
        with mail.open("rb") as stdin:
            writers.append(subprocess.Popen([sys.executable, "-c", WRITER, os.fspath(path)], stdin=stdin))
    seen = 0
    while any(writer.poll() is None for writer in writers):
        mails = mailbox.read()
        assert len(mails) >= seen
        assert len(set(mails)) <= 1
        seen = len(mails)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(mailbox.read()) == 200
