"""What went wrong, in a line for whoever typed the command."""

from collections.abc import Generator
from contextlib import contextmanager

import typer


class CommandError(Exception):
    """A command cannot be carried out; the message is all its reader gets."""


def explained(problem: Exception) -> tuple[str | None, int]:
    """Return the message and the exit code for a problem; no message: this is a defect, show the traceback."""
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
    """Turn a database that is away, refuses or was not migrated into a CommandError; `url` is checked first."""
    from asyncpg import InterfaceError, PostgresError  # noqa: PLC0415 - not every command needs a database
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - see above

    place = _place(url)
    try:
        yield
    except (OSError, TimeoutError) as problem:
        raise CommandError(f"The database {place} cannot be reached ({_reason(problem)}).") from problem
    except (PostgresError, InterfaceError) as problem:
        raise CommandError(f"The database {place} refuses: {_reason(problem)}.") from problem
    except DBAPIError as problem:
        cause = problem.orig.__cause__ if problem.orig else None
        if getattr(problem.orig, "sqlstate", None) in {"3F000", "42P01", "42703"}:
            raise CommandError(
                f"The database {place} is not at the schema of this version: run `hoc migrate`."
            ) from problem
        raise CommandError(f"The database {place} refuses: {_reason(cause or problem)}.") from problem


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
