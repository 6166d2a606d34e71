"""`hoc token` and `hoc mailbox`: development mode's token issuer and mailbox."""

from dataclasses import asdict
from difflib import get_close_matches

from hoc.cli.configuration import load_settings, require_development
from hoc.cli.errors import CommandError
from hoc.cus.account.L2_api.authentication import DevelopmentKeys
from hoc.cus.account.L2_api.scopes import SCOPES
from hoc.embedded import DataDirectory


def development_keys(data: DataDirectory) -> DevelopmentKeys:
    """Load the development keys of this data directory. The first call creates the directory and the keys."""
    data.create()
    try:
        return DevelopmentKeys(data.development_key)
    except ValueError as problem:
        raise CommandError(str(problem)) from None


def issue_token(
    data: DataDirectory, user_id: str, tenant_id: str | None, email: str | None, scopes: list[str]
) -> str:
    """Return a signed token; CommandError outside development mode, or when no token may carry a value."""
    require_development(load_settings(), "hoc token")
    for scope in scopes:
        if scope not in SCOPES:
            near = get_close_matches(scope, SCOPES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"hoc knows {', '.join(SCOPES)}."
            raise CommandError(f"--scope {scope}: there is no such scope; {hint}")
    keys = development_keys(data)
    try:
        return keys.issue(user_id, tenant_id, email, scopes)
    except ValueError as problem:
        raise CommandError(str(problem)) from None


def read_mailbox(data: DataDirectory) -> list[dict[str, str | None]]:
    """Return `to`, `subject`, `invitation_id`, `token` and `link` of each delivered link, oldest first."""
    from hoc.mail.mailbox import DevelopmentMailbox  # noqa: PLC0415 - `hoc token` is quicker without it

    try:
        return [asdict(mail) for mail in DevelopmentMailbox(data.mailbox).read()]
    except OSError as problem:
        raise CommandError(f"The mailbox {data.mailbox} cannot be read ({problem.strerror}).") from problem


def readable_mailbox(mails: list[dict[str, str | None]]) -> str:
    """Return the mails as text for people: recipient, subject and link."""
    if not mails:
        return "No mail has been delivered here."
    return "\n\n".join(f"To: {mail['to']}\n{mail['subject']}\n{mail['link']}" for mail in mails)
