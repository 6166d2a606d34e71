"""`hoc token`."""

from hoc.cli.problems import CommandError
from hoc.cli.running import load_settings, require_development
from hoc.cus.account.L2_api.authentication import DevelopmentKeys
from hoc.embedded import DataDirectory


def development_keys(data: DataDirectory) -> DevelopmentKeys:
    """Load the keys of the server on this data directory, creating both if it never ran."""
    data.create()
    try:
        return DevelopmentKeys(data.development_key)
    except ValueError as problem:
        raise CommandError(str(problem)) from None


def issue(
    data: DataDirectory, user_id: str, tenant_id: str | None, email: str | None, scopes: list[str]
) -> str:
    """Return a signed token; CommandError outside development mode, or for what no token may carry."""
    require_development(load_settings(), "hoc token")
    keys = development_keys(data)
    try:
        return keys.issue(user_id, tenant_id, email, scopes)
    except ValueError as problem:
        raise CommandError(str(problem)) from None
