"""What went wrong, in a line for whoever typed the command."""

from collections.abc import Generator
from contextlib import contextmanager

import typer

_OTHER_SCHEMA = {"3F000", "42P01", "42703"}  # no such schema, table, column
# Connections, standby servers, authorization, catalog, permission, resources, locks, intervention, system.
_REFUSALS = ("08", "25006", "28", "3D", "42501", "53", "55P03", "57", "58")


class CommandError(Exception):
    """A command cannot be carried out; the message is all its reader gets."""


def explained(problem: Exception) -> tuple[str | None, int]:
    """Return the message and the exit code for a problem; without a message it is a defect."""
    if isinstance(problem, typer.TyperException):
        return problem.format_message(), problem.exit_code
    # Loaded by now, if it is theirs.
    from hoc.cus.account.L5_schemas.errors import AccountsError  # noqa: PLC0415 - see above
    from hoc.embedded import DataDirectoryError, EmbeddedServiceError  # noqa: PLC0415 - see above

    if isinstance(problem, CommandError | DataDirectoryError | EmbeddedServiceError | AccountsError):
        return str(problem), 1
    return None, 1


@contextmanager
def database_problems(url: str) -> Generator[None]:
    """Turn a database that is away, refuses or was not migrated into a CommandError. Checks `url` first."""
    from asyncpg import InterfaceError, PostgresError  # noqa: PLC0415 - not every command needs a database
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - see above

    place = _place(url)
    try:
        yield
    except (OSError, TimeoutError) as problem:
        raise CommandError(f"The database {place} cannot be reached ({_reason(problem)}).") from problem
    except (PostgresError, InterfaceError) as problem:  # raised while connecting
        raise CommandError(f"The database {place} refuses: {_reason(problem)}.") from problem
    except DBAPIError as problem:
        state = getattr(problem.orig, "sqlstate", None) or ""
        if state in _OTHER_SCHEMA:
            raise CommandError(
                f"The database {place} is not at the schema of this version: run `hoc migrate`."
            ) from problem
        if problem.connection_invalidated or state.startswith(_REFUSALS):
            reason = _reason((problem.orig and problem.orig.__cause__) or problem)
            raise CommandError(f"The database {place} refuses: {reason}.") from problem
        raise


def _place(url: str) -> str:
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 - not every command needs a database

    from hoc.database import sqlalchemy_url  # noqa: PLC0415 - see above

    try:
        parsed = sqlalchemy_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or not url.startswith(("postgresql", "postgres:")):
        raise CommandError(
            "HOC_DATABASE_URL: expected a URL such as postgresql://user:password@127.0.0.1:5432/name."
        ) from None
    return f"{parsed.database} at {parsed.host or 'localhost'}:{parsed.port or 5432}"


def _reason(problem: BaseException) -> str:
    """The first line of what it says: the others may quote rows, and with them e-mail addresses."""
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    said = str(problem).splitlines()
    return said[0].rstrip(".") if said else type(problem).__name__
