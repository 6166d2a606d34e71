"""`hoc mailbox`."""

from dataclasses import asdict

from hoc.cli.problems import CommandError
from hoc.embedded import DataDirectory
from hoc.mail.mailbox import DevelopmentMailbox


def read(data: DataDirectory) -> list[dict[str, str]]:
    """Return `to`, `subject`, `invitation_id`, `token` and `link` of each delivered mail, oldest first."""
    try:
        return [asdict(mail) for mail in DevelopmentMailbox(data.mailbox).read()]
    except OSError as problem:
        raise CommandError(f"The mailbox {data.mailbox} cannot be read ({problem.strerror}).") from problem


def readable(mails: list[dict[str, str]]) -> str:
    """Return them for people: what the mail shows, and the link."""
    if not mails:
        return "No mail has been delivered here."
    return "\n\n".join(f"To: {mail['to']}\n{mail['subject']}\n{mail['link']}" for mail in mails)
