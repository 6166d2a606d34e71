"""`hoc info`."""

from sqlalchemy import make_url

from hoc.cli.problems import database_problems
from hoc.cli.running import load_settings, running_database
from hoc.embedded import DataDirectory


def find(data: DataDirectory) -> dict[str, str | None]:
    """Return `http`, `database_url` (with its password) and `nats_url`, None for what does not run."""
    server = data.server()
    if server is not None:
        return {"http": server.http, "database_url": server.database_url, "nats_url": server.nats_url}
    url = running_database(load_settings(), data)
    return {"http": None, "database_url": url, "nats_url": None}


def readable(found: dict[str, str | None]) -> str:
    """Return the same for people; the database's password is left to `--json`."""
    url = found["database_url"]
    if url is not None:
        with database_problems(url):
            url = make_url(url).render_as_string(hide_password=True)
    return "\n".join(
        f"{label:9} {value or 'not running'}"
        for label, value in (("server", found["http"]), ("database", url), ("NATS", found["nats_url"]))
    )
