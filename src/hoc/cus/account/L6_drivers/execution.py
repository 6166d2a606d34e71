"""Running a statement with named values on the caller's session."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from sqlalchemy import BindParameter, Dialect, Executable, Row, Select, bindparam
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from hoc.database.direct import CompiledStatements, DirectConnection, TransactionRequiredError
from hoc.database.direct import Row as DirectRow

AnyRow: TypeAlias = Row[*tuple[Any, ...]] | DirectRow
AnySelect: TypeAlias = Select[*tuple[Any, ...]]
SqlSession: TypeAlias = AsyncSession | AsyncConnection | DirectConnection

_PREFIX = "given_"
_compiled: WeakKeyDictionary[Dialect, CompiledStatements] = WeakKeyDictionary()


def param(name: str, kind: Any, *, literal_execute: bool = False) -> BindParameter[Any]:  # noqa: ANN401 - a type or an instance of one
    """A bind parameter, with a prefix: SQLAlchemy would set a column of the same name to its value."""
    return bindparam(f"{_PREFIX}{name}", type_=kind, literal_execute=literal_execute)


def primary_of(session: SqlSession) -> Callable[[], AbstractAsyncContextManager[DirectConnection]] | None:
    """What opens a connection to the primary, for a session on a replica. Rights are read there."""
    return session.primary if isinstance(session, DirectConnection) else None


async def fetch_one(session: SqlSession, statement: Executable, **values: Any) -> AnyRow | None:  # noqa: ANN401 - bind values are of any type
    result = await session.execute(statement, {f"{_PREFIX}{name}": value for name, value in values.items()})
    return result.first()


async def fetch_all(session: SqlSession, statement: Executable, **values: Any) -> list[AnyRow]:  # noqa: ANN401 - bind values are of any type
    result = await session.execute(statement, {f"{_PREFIX}{name}": value for name, value in values.items()})
    return list(result.all())


async def fetch_each(
    session: SqlSession, statement: Executable, each: Sequence[Mapping[str, Any]]
) -> list[DirectRow]:
    """The rows of a statement that is executed with each of the values in turn, in few round trips.

    An execution sees what those before it wrote. The session must have executed a statement in its
    transaction before: this goes past SQLAlchemy, which begins the transaction with the first statement.
    """
    require_transaction(session, "Several statements")
    if not each:
        return []
    driver, statements = await _driver_of(session)
    compiled = statements.get(statement)
    asked = [
        compiled.with_values({f"{_PREFIX}{name}": value for name, value in values.items()}) for values in each
    ]
    rows: list[DirectRow] = await driver.fetchmany(
        asked[0][0], [arguments for _, arguments in asked], record_class=DirectRow
    )
    return rows


def require_transaction(session: SqlSession, what: str) -> None:
    """Raise TransactionRequiredError if each statement of the session is a transaction of its own."""
    if isinstance(session, DirectConnection) and not session.in_transaction:
        raise TransactionRequiredError(f"{what} need a transaction.")


async def _driver_of(session: SqlSession) -> tuple[Any, CompiledStatements]:
    """The driver's connection, and the statements compiled for it."""
    if isinstance(session, DirectConnection):
        return session.driver, session.statements
    connection = await session.connection() if isinstance(session, AsyncSession) else session
    raw = await connection.get_raw_connection()
    dialect = connection.dialect
    return raw.driver_connection, _compiled.setdefault(dialect, CompiledStatements(dialect))
