"""The settings of a command, and the database, NATS and server that it uses."""

import asyncio
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import SecretStr, ValidationError

from hoc.cli.errors import CommandError
from hoc.embedded import DataDirectory, EmbeddedNats, EmbeddedPostgres
from hoc.settings import Settings

if TYPE_CHECKING:
    from hoc.database import Pooler  # it takes half of the time of a command that uses no database

_NO_DATABASE = SecretStr("postgresql://127.0.0.1/hoc")


def load_settings() -> Settings:
    """Read the environment. CommandError names a variable that is wrong, and does not quote its value."""
    try:
        return Settings()
    except ValidationError as problem:
        raise CommandError(
            "; ".join(_described(error["loc"], error["msg"]) for error in problem.errors())
        ) from None


def _described(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"HOC_{'_'.join(map(str, location)).upper()}: {message}" if location else message


def check_application(settings: Settings) -> None:
    """Put the application together, on no database, to find a wrong setting. Raises CommandError."""
    from hoc.server.app import Service  # noqa: PLC0415 - its modules may read the environment

    given: dict[str, Any] = {}
    if not reveal(settings.database_url):
        given["database_url"] = _NO_DATABASE
    if settings.development is None and is_development(settings):
        given["console"] = False  # its pages need a key, which is in the data directory
    try:
        Service(settings.model_copy(update=given))
    except ValueError as problem:
        raise CommandError(str(problem)) from problem


def is_development(settings: Settings) -> bool:
    """Whether a server with these settings runs in development mode, where it signs its own tokens."""
    if settings.development is None:
        return not settings.authenticates_callers
    return settings.development


def require_development(settings: Settings, command: str) -> None:
    """Raise CommandError outside development mode, where another issuer signs the tokens."""
    if is_development(settings):
        return
    why = (
        "HOC_DEVELOPMENT is false"
        if settings.development is False
        else "caller authentication is configured (HOC_JWT_… or HOC_GATEWAY_SECRET)"
    )
    raise CommandError(f"{command} works in development mode only, but {why}.")


def reveal(url: SecretStr | None) -> str | None:
    """Return a setting's URL, or None when it is unset or empty."""
    return url.get_secret_value() if url else None


def running_database(settings: Settings, data: DataDirectory) -> str | None:
    """Return HOC_DATABASE_URL, else the URL of the database that runs for this data directory, or None."""
    if configured := reveal(settings.database_url):
        return configured
    server = data.server()
    return server.database_url if server else EmbeddedPostgres(data).running_url()


class Target(NamedTuple):
    """The database of a command, and the pooler that its URL leads to."""

    url: str
    pooler: "Pooler | None" = None


def configured_target(settings: Settings) -> Target | None:
    """Return HOC_LISTEN_DATABASE_URL, which leads past the pooler, else HOC_DATABASE_URL, or None."""
    configured, direct = reveal(settings.database_url), reveal(settings.listen_database_url)
    if configured is None:
        return None
    return Target(configured, settings.pooler) if direct is None else Target(direct)


def running_target(settings: Settings, data: DataDirectory) -> Target | None:
    """Return the configured database, else that which runs for this data directory, or None."""
    if configured := configured_target(settings):
        return configured
    url = running_database(settings, data)
    return None if url is None else Target(url)


def require_target(settings: Settings, data: DataDirectory) -> Target:
    """Like `running_target`, but raise CommandError when there is none."""
    return running_target(settings, data) or Target(require_database(settings, data))


def running_nats(settings: Settings, data: DataDirectory) -> str | None:
    """Return HOC_NATS_URL, else the URL of the NATS that runs for this data directory, or None."""
    if configured := reveal(settings.nats_url):
        return configured
    server = data.server()
    return server.nats_url if server else EmbeddedNats(data).running_url()


def check_nats(settings: Settings) -> None:
    """Raise CommandError if the NATS of HOC_NATS_URL answers and refuses the login, or fails at TLS."""
    if not reveal(settings.nats_url):
        return
    from hoc.events.nats import check_login  # noqa: PLC0415 - few commands need it
    from hoc.events.service import access_of  # noqa: PLC0415 - see above

    access = access_of(settings)
    try:
        access.check()
        asyncio.run(check_login(access))
    except ValueError as problem:
        raise CommandError(str(problem)) from problem


def require_database(settings: Settings, data: DataDirectory) -> str:
    """Like `running_database`, but raise CommandError when there is none."""
    url = running_database(settings, data)
    if url is None:
        raise CommandError(
            f"No server is running on {data.path}. Start one with `{hoc_command('serve', data)}`,"
            " or set HOC_DATABASE_URL."
        )
    return url


def hoc_command(command: str, data: DataDirectory) -> str:
    """Return a shell command line that runs another hoc command on the same data directory."""
    program = Path(sys.argv[0])
    if program.is_absolute() and program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    words = [str(program), command]
    if data.path != DataDirectory().path:
        words += ["--data-dir", str(data.path)]
    return shlex.join(words)
