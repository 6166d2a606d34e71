"""PostgreSQL's errors: which of them are outages, and how a domain's own errors take their place."""

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

# A single statement goes straight to asyncpg, whose connection raises InternalClientError when it was
# terminated between two statements. The last is SQLAlchemy's, raised while connecting.
DRIVER_ERRORS: Final = (
    DBAPIError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    AsyncAdapt_asyncpg_dbapi.Error,
)
_NOT_REACHED: Final = (OSError, TimeoutError, PoolTimeoutError)


class DatabaseUnavailableError(Exception):
    """The database is away or too busy. Raised where no domain has given an error of its own."""


def _unavailable() -> Exception:
    return DatabaseUnavailableError("The database did not answer in time.")


@dataclass(frozen=True, slots=True)
class ErrorTranslator:
    """A domain's errors for those of PostgreSQL.

    ``base`` is the base class of the domain's own errors; ``unavailable`` makes the error for an outage;
    ``violations`` makes one for each violated constraint by the constraint's name.
    """

    base: type[Exception] = DatabaseUnavailableError
    unavailable: Callable[[], Exception] = _unavailable
    violations: Mapping[str, Callable[[], Exception]] = field(
        default_factory=dict[str, Callable[[], Exception]]
    )

    def translate(self, problem: Exception) -> Exception | None:
        """The domain's error for a driver's; None for a violation that the domain has no name for."""
        if is_outage(problem):
            return self.unavailable()
        violation = self.violations.get(getattr(_driver_error(problem), "constraint_name", None) or "")
        return None if violation is None else violation()


@contextmanager
def translated_errors(translator: ErrorTranslator) -> Generator[None, None, None]:
    """Raise the domain's errors in place of the driver's; the driver's is their ``__cause__``."""
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
    """Whether PostgreSQL rolled the transaction back for another one, so that it can be run again."""
    return sqlstate(problem) in _LOST_RACES


def sqlstate(problem: BaseException | None) -> str | None:
    """PostgreSQL's code for an error of SQLAlchemy or asyncpg, None when the error has none."""
    return getattr(_driver_error(problem), "sqlstate", None)


def _driver_error(problem: BaseException | None) -> BaseException | None:
    """What asyncpg raised, where SQLAlchemy has wrapped it."""
    return problem.orig.__cause__ if isinstance(problem, DBAPIError) and problem.orig else problem
