"""The development mailbox, for use without an SMTP server: a Maildir that `hoc mailbox` reads."""

from __future__ import annotations

import asyncio
import mailbox
import re
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Final

from hoc.mail.invitation_mail import INVITATION_HEADER
from hoc.mail.message import link_in
from hoc.mail.sender import MailUnavailableError

_KEY: Final = re.compile(r"(\d+)\.M(\d+)P\d+Q(\d+)\.")  # how mailbox.Maildir names a message
_ON_DISK: Final = policy.SMTPUTF8.clone(linesep="\n")


@dataclass(frozen=True, slots=True)
class DeliveredMail:
    """One delivered mail with a link. Its repr shows no personal data.

    ``invitation_id`` is None for a mail that confirms an address.
    """

    to: str = field(repr=False)
    subject: str = field(repr=False)
    invitation_id: str | None
    token: str = field(repr=False)
    link: str = field(repr=False)


class DevelopmentMailbox:
    """A MailSender that stores mail, readable by the file's owner only.

    Any number of processes may send and read at once, because link(2) makes a message appear as a whole.
    """

    def __init__(self, path: str | Path) -> None:
        """Use the Maildir at ``path``; the first mail creates it."""
        self._path = Path(path)

    async def send(self, message: EmailMessage) -> None:
        """Store the message. Raises MailUnavailableError if it cannot be written."""
        try:
            await asyncio.to_thread(self._store, message.as_bytes(policy=_ON_DISK))
        except (OSError, mailbox.Error) as error:
            raise MailUnavailableError(
                f"the development mailbox {self._path} cannot be written: {error}"
            ) from error

    async def aclose(self) -> None:
        """Nothing is open."""

    def read(self) -> list[DeliveredMail]:
        """Return the mails with a link of hoc's, oldest first, and no other mail."""
        if not (self._path / "cur").is_dir():  # the directory that is created last
            return []
        maildir = mailbox.Maildir(self._path, create=False)
        delivered = (self._load(maildir, key) for key in sorted(maildir.keys(), key=_delivery_order))
        return [mail for mail in delivered if mail]

    def _store(self, content: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Maildir itself would use a directory that another process has not finished creating.
        for directory in (self._path, *(self._path / name for name in ("tmp", "new", "cur"))):
            directory.mkdir(mode=0o700, exist_ok=True)
        self._path.chmod(0o700)
        mailbox.Maildir(self._path, create=False).add(content)

    @staticmethod
    def _load(maildir: mailbox.Maildir, key: str) -> DeliveredMail | None:
        try:
            content = maildir.get_bytes(key)
        except (KeyError, FileNotFoundError):  # deleted since it was listed
            return None
        message = message_from_bytes(content, EmailMessage, policy=policy.SMTPUTF8)
        found = link_in(message)
        if found is None:
            return None
        link, token = found
        return DeliveredMail(
            to=str(message["To"]),
            subject=str(message["Subject"]),
            invitation_id=str(message[INVITATION_HEADER]) if INVITATION_HEADER in message else None,
            token=token,
            link=link,
        )


def _delivery_order(key: str) -> tuple[int, int, int]:
    """Second, microsecond and count in a message's name, whose numbers are not padded to sort as text."""
    named = _KEY.match(key)
    return (int(named[1]), int(named[2]), int(named[3])) if named else (0, 0, 0)
