"""`hoc info`."""

import re

from hoc.cli.configuration import load_settings, running_database, running_nats
from hoc.embedded import DataDirectory
from hoc.postgres_url import without_secrets


def find(data: DataDirectory) -> dict[str, str | None]:
    """Return `http`, `database_url` and `nats_url`, passwords included. None means that it does not run."""
    server = data.server()
    if server is not None:
        return {"http": server.http, "database_url": server.database_url, "nats_url": server.nats_url}
    settings = load_settings()
    return {
        "http": None,
        "database_url": running_database(settings, data),
        "nats_url": running_nats(settings, data),
    }


def readable(found: dict[str, str | None]) -> str:
    """Return the same as text for people, without the passwords."""
    url, nats_url = found["database_url"], found["nats_url"]
    if url is not None:
        url = without_secrets(url)
    if nats_url is not None:  # hide the whole login, because a token may take the user's place
        nats_url = re.sub(r"^(\w+://)?.*@", r"\1***@", nats_url)
    return "\n".join(
        f"{label:9} {value or 'not running'}"
        for label, value in (("server", found["http"]), ("database", url), ("NATS", nats_url))
    )
