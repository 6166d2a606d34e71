"""Links that sign in to the console's pages of a development server."""

import json

from hoc.cli.configuration import load_settings
from hoc.cus.account.L2_api.authentication import DevelopmentKeys
from hoc.cus.account.L2_api.pages.development import sign_in_link
from hoc.embedded import DataDirectory

_SCOPES = ["accounts:admin"]  # so that one link shows all pages


def owner_link(data: DataDirectory, keys: DevelopmentKeys, user_id: str, tenant_id: str) -> str | None:
    """A link that signs in as this person, once. None if the server serves no pages."""
    settings = load_settings()
    if settings.console is False:
        return None
    server = data.server()
    base = server.http if server else settings.public_url.rstrip("/")
    return sign_in_link(keys, base, user_id, tenant_id, _SCOPES)


def note_demo(data: DataDirectory, user_id: str, tenant_id: str) -> None:
    """Keep who owns the latest demo tenant."""
    data.write("demo.json", json.dumps({"user_id": user_id, "tenant_id": tenant_id}))


def latest_demo(data: DataDirectory) -> tuple[str, str] | None:
    """The owner of the latest demo tenant, and the tenant. None if there is none."""
    try:
        noted = json.loads((data.path / "demo.json").read_text())
        return noted["user_id"], noted["tenant_id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
