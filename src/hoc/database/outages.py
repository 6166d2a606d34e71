"""Errors of PostgreSQL and its driver: outages, and their translation into the errors of a domain."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_SERIALIZATION_FAILURE: Final = "40001"
_DEADLOCK: Final = "40P01"
_LOST_RACES: Final = frozenset({_SERIALIZATION_FAILURE, _DEADLOCK})

# Connection exceptions, too few resources, operator intervention, a lock not granted in time, system errors.
_OUTAGES: Final = ("08", "53", "57", "55P03", "58", *sorted(_LOST_RACES))

# Single statements raise asyncpg's own errors: InternalClientError when the connection was terminated between
# two statements. The last one is SQLAlchemy's, raised while connecting.
DRIVER_ERRORS: Final = (
    DBAPIError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    AsyncAdapt_asyncpg_dbapi.Error,
)
_NOT_REACHED: Final = (OSError, TimeoutError, PoolTimeoutError)


class DatabaseUnavailableError(Exception):
    """The database is unreachable or too busy. Raised where the domain has no error of its own for that."""


def _unavailable() -> Exception:
    return DatabaseUnavailableError("The database did not answer in time.")


@dataclass(frozen=True, slots=True)
class ErrorTranslator:
    """Translates the driver's errors into those of a domain.

    Args:
        base: the base class of the domain's errors.
        unavailable: makes the error for an outage.
        violations: for a constraint's name, makes the error for its violation.
    """

    base: type[Exception] = DatabaseUnavailableError
    unavailable: Callable[[], Exception] = _unavailable
    violations: Mapping[str, Callable[[], Exception]] = field(
        default_factory=dict[str, Callable[[], Exception]]
    )

    def translate(self, problem: Exception) -> Exception | None:
        """The domain's error for the driver's, None if the domain has none."""
        if is_outage(problem):
            return self.unavailable()
        violation = self.violations.get(getattr(_driver_error(problem), "constraint_name", None) or "")
        return None if violation is None else violation()


@contextmanager
def translated_errors(translator: ErrorTranslator) -> Generator[None, None, None]:
    """Raise the domain's error in place of the driver's, which becomes its ``__cause__``."""
    try:
        yield
    except _NOT_REACHED as problem:
        raise translator.unavailable() from problem
    except DRIVER_ERRORS as problem:
        translated = translator.translate(problem)
        if translated is None:
            raise
        raise translated from problem


def is_outage(problem: Exception) -> bool:
    state = sqlstate(problem)
    return getattr(problem, "connection_invalidated", False) or state is None or state.startswith(_OUTAGES)


def has_lost_race(problem: Exception) -> bool:
    """Whether PostgreSQL rolled the transaction back in favour of another, so that a retry may succeed."""
    return sqlstate(problem) in _LOST_RACES


def sqlstate(problem: BaseException | None) -> str | None:
    """PostgreSQL's code for an error of SQLAlchemy or asyncpg, None when the error has none."""
    return getattr(_driver_error(problem), "sqlstate", None)


def _driver_error(problem: BaseException | None) -> BaseException | None:
    """The error that asyncpg raised, without SQLAlchemy's wrapping."""
    return problem.orig.__cause__ if isinstance(problem, DBAPIError) and problem.orig else problem
