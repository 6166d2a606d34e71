"""Errors of PostgreSQL and its driver: outages, and their translation into the errors of a domain."""

import logging
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from hoc.concurrency.effect import Effect, current_effect

_log = logging.getLogger("hoc.database")

_SERIALIZATION_FAILURE: Final = "40001"
_DEADLOCK: Final = "40P01"
_CHANGED_TABLE: Final = "0A000"
_TRY_AGAIN: Final = frozenset({_SERIALIZATION_FAILURE, _DEADLOCK})
READ_ONLY: Final = "25006"
LOST_STATEMENTS: Final = frozenset({"26000", "42P05"})
_POOLER_ADVICE: Final = "if a pooler is between, set HOC_POOLER=transaction"
_OF_THE_CONNECTION: Final = "08"  # a pooler calls it an ERROR, too
_CANNOT_STORE: Final = ("42501", "53", "58", "XX")
_OF_A_CONSTRAINT: Final = "23"
_NAMES: Final = re.compile(r"[a-z_][a-z0-9_]*")
_SHARD: Final = re.compile(r"_[0-9]+$")

OUTAGES: Final = {
    "08": "the connection failed",
    "0A000": "a migration changed a table under a prepared statement, also after retries",
    "25006": "the database is read-only",
    "25P03": "the server ended a transaction that was idle",
    "25P04": "the server ended a transaction that took too long",
    "26000": f"a prepared statement is not where it was: {_POOLER_ADVICE}",
    "28": "the login was refused",
    "3D000": "the database is missing, or has another name",
    "40001": "a serialization failure, also after retries",
    "40P01": "a deadlock, also after retries",
    "42P05": f"another client prepared a statement of this name: {_POOLER_ADVICE}",
    "53": "disk, memory or connections are exhausted",
    "55000": "the database accepts no connections",
    "55P03": "a lock was not granted in time",
    "57": "the statement was cancelled, or the server stops or starts",
    "58": "the server's system failed",
    "F0": "the server's configuration is wrong",
    "XX": "the server failed: a full disk, or corrupted data",
}
"""SQLSTATEs, or classes of them, with which PostgreSQL says that it cannot serve at the moment."""

UNFIT: Final = {
    "3F000": "the schema is missing",
    "42501": "the role lacks a privilege",
    "42703": "a column is missing",
    "42704": "an object is missing",
    "42883": "a function is missing",
    "42P01": "a table is missing",
}
"""SQLSTATEs of a database that serves, but lacks the schema or the privileges that the code needs."""

_REPORT_SECONDS: Final = 60.0

# Single statements raise asyncpg's own errors: InternalClientError when the connection was terminated between
# two statements. The last one is SQLAlchemy's, raised while connecting.
DRIVER_ERRORS: Final = (
    DBAPIError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    AsyncAdapt_asyncpg_dbapi.Error,
)
NOT_REACHED: Final = (OSError, TimeoutError, PoolTimeoutError)


class DatabaseUnavailableError(Exception):
    """The database is unreachable or too busy. Raised where the domain has no error of its own for that."""


def _unavailable() -> Exception:
    return DatabaseUnavailableError("The database did not answer in time. Nothing was changed.")


def _unknown() -> Exception:
    return DatabaseUnavailableError("The database did not answer in time. The outcome is unknown.")


def _unfit() -> Exception:
    return DatabaseUnavailableError("The database lacks the schema or the privileges that are needed.")


@dataclass(frozen=True, slots=True)
class ErrorTranslator:
    """Translates the driver's errors into those of a domain.

    Args:
        base: the base class of the domain's errors.
        unavailable: makes the error for an outage during which nothing was changed.
        unknown: makes the error for an outage during which a change may have been made.
        unfit: makes the error for a database without the schema or the privileges that the code needs.
        violations: for a constraint's name, makes the error for its violation. A constraint of Citus's shard
            has the shard's number behind its name.
    """

    base: type[Exception] = DatabaseUnavailableError
    unavailable: Callable[[], Exception] = _unavailable
    unknown: Callable[[], Exception] = _unknown
    unfit: Callable[[], Exception] = _unfit
    violations: Mapping[str, Callable[[], Exception]] = field(
        default_factory=dict[str, Callable[[], Exception]]
    )

    def translate(self, problem: Exception, effect: Effect) -> Exception | None:
        """The domain's error for the driver's, None if the domain has none."""
        if is_outage(problem):
            _report(problem)
            return self.outage(effect)
        if sqlstate(problem) in UNFIT:
            _report(problem)
            return self.unfit()
        for name in _constraints(problem):
            if violation := self.violations.get(name) or self.violations.get(_SHARD.sub("", name)):
                return violation()
        return None

    def outage(self, effect: Effect) -> Exception:
        return self.unknown() if effect.is_possible else self.unavailable()


@contextmanager
def translated_errors(
    translator: ErrorTranslator,
    notice: Callable[[Exception], None] | None = None,
    effect: Effect | None = None,
) -> Generator[None, None, None]:
    """Raise the domain's error in place of the driver's, which becomes its ``__cause__``.

    ``notice`` is called with the driver's. ``effect`` is that of the block, by default the tracked one.
    """
    try:
        yield
    except NOT_REACHED as problem:
        _report(problem)
        raise translator.outage(effect or current_effect()) from problem
    except DRIVER_ERRORS as problem:
        if notice is not None:
            notice(problem)
        translated = translator.translate(problem, effect or current_effect())
        if translated is None:
            raise
        raise translated from problem


def is_outage(problem: Exception) -> bool:
    state = sqlstate(problem)
    if state == _CHANGED_TABLE:
        return _is_of_changed_table(problem)
    return (
        getattr(problem, "connection_invalidated", False) or state is None or state.startswith(tuple(OUTAGES))
    )


_reported: dict[str, float] = {}


def _report(problem: Exception) -> None:
    """Log an outage's reason, once a minute for each SQLSTATE: every request may meet it."""
    state, now = sqlstate(problem), time.monotonic()
    key = state or type(problem).__name__
    if now - _reported.get(key, -_REPORT_SECONDS) < _REPORT_SECONDS:
        return
    _reported[key] = now
    message = str(_driver_error(problem)).partition("\n")[0] or "no answer in time"
    if state in LOST_STATEMENTS:
        message = f"{message}; {_POOLER_ADVICE}"
    if state in UNFIT:
        _log.error("the database is not as needed: %s (SQLSTATE %s); see `hoc doctor`", message, state)
    else:
        _log.warning("the database is unavailable: %s%s", message, f" (SQLSTATE {state})" if state else "")


def meaning(state: str) -> str | None:
    """What a SQLSTATE of an outage says, None for any other."""
    return UNFIT.get(state) or OUTAGES.get(state) or OUTAGES.get(state[:2])


def cannot_store(state: str) -> bool:
    """Whether the next write would fail with this SQLSTATE too, until somebody mends the database."""
    return state.startswith(_CANNOT_STORE)


def may_succeed_again(problem: Exception) -> bool:
    """Whether PostgreSQL rolled the transaction back for a reason that a retry does not meet.

    It was in favour of another transaction, or because a statement was prepared for a table that has changed.
    """
    return sqlstate(problem) in _TRY_AGAIN or _is_of_changed_table(problem)


def _is_of_changed_table(problem: Exception) -> bool:
    """Whether a migration changed a table under a prepared statement.

    The SQLSTATE alone does not say so: a server also answers it to what it does not support.
    """
    return isinstance(_driver_error(problem), asyncpg.InvalidCachedStatementError)


def leaves_doubt(problem: Exception) -> bool:
    """Whether a statement or a COMMIT that raised this may have taken effect.

    PostgreSQL's ERROR says that it has not, but a FATAL may come after it has. asyncpg raises InterfaceError
    before it sends anything.
    """
    error = _driver_error(problem)
    if not isinstance(problem, DRIVER_ERRORS + NOT_REACHED) or isinstance(error, asyncpg.InterfaceError):
        return False
    is_answer = getattr(error, "severity_en", None) == "ERROR"
    return not is_answer or (sqlstate(error) or "").startswith(_OF_THE_CONNECTION)


def sqlstate(problem: BaseException | None) -> str | None:
    """PostgreSQL's code for an error of SQLAlchemy or asyncpg, None when the error has none."""
    return getattr(_driver_error(problem), "sqlstate", None)


def _constraints(problem: Exception) -> list[str]:
    """What may be the violated constraint's name, none for any other error.

    Citus passes on a worker's error without this field. Its message has the name, and no value of the row.
    """
    if not (sqlstate(problem) or "").startswith(_OF_A_CONSTRAINT):
        return []
    error = _driver_error(problem)
    name: str | None = getattr(error, "constraint_name", None)
    return [name] if name else _NAMES.findall(str(error).partition("\n")[0])


def _driver_error(problem: BaseException | None) -> BaseException | None:
    """The error that asyncpg raised, without SQLAlchemy's wrapping."""
    return problem.orig.__cause__ if isinstance(problem, DBAPIError) and problem.orig else problem
