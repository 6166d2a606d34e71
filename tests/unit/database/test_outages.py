"""PostgreSQL's errors become the errors of the domain that a Database is made for."""

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from hoc.concurrency.effect import Effect
from hoc.database import ErrorTranslator, outages, translated_errors
from hoc.database.outages import DatabaseUnavailableError
from hoc.database.transactions import committing


class TakenError(Exception):
    """A domain's own error."""


TRANSLATOR = ErrorTranslator(violations={"uq_names": TakenError})


def violation(constraint: str) -> asyncpg.PostgresError:
    problem = asyncpg.UniqueViolationError("duplicate key")
    problem.constraint_name = constraint
    return problem


def wrapped(problem: asyncpg.PostgresError) -> DBAPIError:
    """The error that SQLAlchemy raises for one of asyncpg's."""
    adapted = Exception(str(problem))
    adapted.__cause__ = problem
    return DBAPIError("INSERT", {}, adapted)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (violation("uq_names"), TakenError),
        (violation("uq_others"), asyncpg.UniqueViolationError),
        (violation("uq_names_102008"), TakenError),  # a shard's, on the node that answers
        (violation("uq_names_of_102008"), asyncpg.UniqueViolationError),
        (asyncpg.UniqueViolationError('violates unique constraint "uq_names_102008"'), TakenError),
        (asyncpg.CheckViolationError('relation "names_102008" violates "uq_names"'), TakenError),
        (asyncpg.UniqueViolationError("a row\nDETAIL:  Key (name)=(uq_names)"), asyncpg.UniqueViolationError),
        (asyncpg.DataError('of "uq_names"'), asyncpg.DataError),
        (wrapped(violation("uq_names")), TakenError),
        (wrapped(violation("uq_others")), DBAPIError),
        (wrapped(asyncpg.DeadlockDetectedError("deadlock")), DatabaseUnavailableError),
        (asyncpg.UndefinedTableError("no table"), DatabaseUnavailableError),
        (asyncpg.InsufficientPrivilegeError("no right"), DatabaseUnavailableError),
        (asyncpg.ReadOnlySQLTransactionError("read-only"), DatabaseUnavailableError),
        (asyncpg.InvalidPasswordError("no login"), DatabaseUnavailableError),
        (asyncpg.InvalidCatalogNameError("no database"), DatabaseUnavailableError),
        (asyncpg.InvalidSchemaNameError("no schema"), DatabaseUnavailableError),
        (asyncpg.UndefinedColumnError("no column"), DatabaseUnavailableError),
        (asyncpg.UndefinedFunctionError("no function"), DatabaseUnavailableError),
        (asyncpg.DiskFullError("disk full"), DatabaseUnavailableError),
        (asyncpg.ObjectNotInPrerequisiteStateError("no connections"), DatabaseUnavailableError),
        (asyncpg.DataCorruptedError("corrupted"), DatabaseUnavailableError),
        (asyncpg.InvalidCachedStatementError("old plan"), DatabaseUnavailableError),
        (asyncpg.FeatureNotSupportedError("not on Citus"), asyncpg.FeatureNotSupportedError),
        (asyncpg.PostgresSyntaxError("a defect"), asyncpg.PostgresSyntaxError),
        (asyncpg.CheckViolationError("a check"), asyncpg.CheckViolationError),
        (asyncpg.AdminShutdownError("shutting down"), DatabaseUnavailableError),
        (asyncpg.DeadlockDetectedError("deadlock"), DatabaseUnavailableError),
        (asyncpg.InterfaceError("connection is closed"), DatabaseUnavailableError),
        (ConnectionRefusedError(), DatabaseUnavailableError),
        (TimeoutError(), DatabaseUnavailableError),
        (ValueError("unrelated"), ValueError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_each_error_has_one_translation(raised: Exception, expected: type[Exception]) -> None:
    """An error that stays itself is raised as it is; a translated one has the driver's as its cause."""
    with pytest.raises(expected) as caught, translated_errors(TRANSLATOR):
        raise raised
    assert caught.value is raised or caught.value.__cause__ is raised


def test_what_is_missing_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request may meet it."""
    monkeypatch.setattr(outages, "_reported", {})
    for _ in range(3):
        with pytest.raises(DatabaseUnavailableError), translated_errors(TRANSLATOR):
            raise asyncpg.UndefinedTableError('relation "account.users" does not exist')
    [logged] = caplog.messages
    assert '"account.users" does not exist (SQLSTATE 42P01)' in logged


def said_by(severity: str, problem: asyncpg.PostgresError) -> asyncpg.PostgresError:
    problem.severity_en = severity
    return problem


@pytest.mark.parametrize(
    ("raised", "has_doubt"),
    [
        (said_by("ERROR", asyncpg.DeadlockDetectedError("deadlock")), False),
        (wrapped(said_by("ERROR", asyncpg.QueryCanceledError("cancelled"))), False),
        (said_by("FATAL", asyncpg.AdminShutdownError("shutting down")), True),
        (said_by("ERROR", asyncpg.ProtocolViolationError("a pooler's server is gone")), True),
        (asyncpg.ConnectionDoesNotExistError("closed in the middle of operation"), True),
        (asyncpg.InterfaceError("connection is closed"), False),  # nothing was sent
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (ValueError("a rule"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_effect_is_excluded_only_by_postgresqls_word(raised: Exception, *, has_doubt: bool) -> None:
    effect = Effect()
    with pytest.raises(type(raised)), committing(effect):
        raise raised
    assert effect.is_possible is has_doubt
