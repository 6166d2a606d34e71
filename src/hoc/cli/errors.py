"""The errors of a command, each in one line for its user."""

import signal
from collections.abc import Generator
from contextlib import contextmanager

import typer

from hoc.postgres_url import PostgresUrl

_OTHER_SCHEMA = {"3F000", "42P01", "42703"}  # undefined schema, table, column
# Connections, standby servers, authorization, catalog, permission, resources, locks, intervention, system.
_REFUSALS = ("08", "25006", "28", "3D", "42501", "53", "55P03", "57", "58")

_CLOSED_PIPE = 128 + signal.SIGPIPE  # as of a program that SIGPIPE ends


class CommandError(Exception):
    """A command cannot be carried out. The user sees the message and nothing else."""


class OutputError(CommandError):
    """An output cannot be written."""


class ClosedPipeError(OutputError):
    """The program that read an output has ended, as `head` does. The user sees nothing."""


def explain(problem: Exception) -> tuple[str | None, int]:
    """Return the message and the exit code of an exception. The message of a defect in hoc is None."""
    if isinstance(problem, ClosedPipeError):
        return "", _CLOSED_PIPE
    if isinstance(problem, typer.TyperException):
        return problem.format_message(), problem.exit_code
    # The command has loaded these modules already if the exception is one of theirs.
    from hoc.cus.account.L5_schemas.errors import AccountsError  # noqa: PLC0415 - see above
    from hoc.embedded import DataDirectoryError, EmbeddedServiceError  # noqa: PLC0415 - see above

    if isinstance(problem, CommandError | DataDirectoryError | EmbeddedServiceError | AccountsError):
        return str(problem), 1
    return None, 1


@contextmanager
def database_errors(url: str) -> Generator[None]:
    """Raise a CommandError when the database is away, refuses or was not migrated."""
    from asyncpg import InterfaceError, PostgresError  # noqa: PLC0415 - not every command needs a database
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - see above

    from hoc.database import NotConnectedError  # noqa: PLC0415 - see above

    place = PostgresUrl.parse(url).place
    try:
        yield
    except NotConnectedError as problem:
        is_there = problem.sqlstate or problem.finds_pooler
        how = "refuses: {}" if is_there else "cannot be reached ({})"
        raise CommandError(f"The database {place} {how.format(problem.reason)}.") from problem
    except (OSError, TimeoutError) as problem:
        raise CommandError(f"The database {place} cannot be reached ({_reason(problem)}).") from problem
    except (PostgresError, InterfaceError) as problem:  # raised while connecting
        raise CommandError(f"The database {place} refuses: {_reason(problem)}.") from problem
    except DBAPIError as problem:
        state = getattr(problem.orig, "sqlstate", None) or ""
        if state in _OTHER_SCHEMA:
            raise CommandError(
                f"The database {place} does not have this version's schema. Run `hoc migrate`."
            ) from problem
        if problem.connection_invalidated or state.startswith(_REFUSALS):
            reason = _reason((problem.orig and problem.orig.__cause__) or problem)
            raise CommandError(f"The database {place} refuses: {reason}.") from problem
        raise


def _reason(problem: BaseException) -> str:
    """Return the message's first line. The others may quote rows, which contain e-mail addresses."""
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    lines = str(problem).splitlines()
    return lines[0].rstrip(".") if lines else type(problem).__name__
