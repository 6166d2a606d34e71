"""Connections that lead through a pooler, such as PgBouncer or Odyssey.

A pooler in transaction mode gives each transaction any of its server connections. So nothing may stay on one
of them: no setting, no LISTEN, no lock of a session, and no prepared statement unless the pooler knows of it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast
from uuid import uuid4

import asyncpg
from sqlalchemy import text

from hoc.database.outages import sqlstate

if TYPE_CHECKING:  # only the type has parameters
    from asyncpg.prepared_stmt import PreparedStatement

Pooler: TypeAlias = Literal["transaction", "session"]
"""What is between hoc and PostgreSQL: how long a client keeps a server connection."""

POOLER_FOUND: Final = (
    "a pooler answers there, and not PostgreSQL itself: set HOC_POOLER=transaction,"
    " or HOC_POOLER=session if it works in session mode"
)

MISSING_LIMITS: Final = text(
    "SELECT name, format('ALTER ROLE %I SET %s = ''%s''', current_user, name, wanted) AS remedy"
    " FROM (VALUES ('statement_timeout', '5s'), ('lock_timeout', '5s'),"
    " ('idle_in_transaction_session_timeout', '10s')) AS limits (name, wanted)"
    " WHERE current_setting(name) = '0'"
)
"""The time limits that a server connection lacks, each with the statement that sets it for the role."""

_MOST_STATEMENTS: Final = 100
_PROTOCOL_VIOLATION: Final = "08P01"
_SERVER_PROCESS: Final = "SELECT pg_backend_pid()"
_IS_KNOWN: Final = "SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE name = $1)"
# All arrays that hoc sends or reads.
_ARRAYS: Final = "SELECT " + ", ".join(
    f"CAST(NULL AS {name}[])"
    for name in (
        *("bigint", "boolean", "bytea", "date", "integer", "json", "jsonb", "text", "timestamptz", "uuid"),
        "varchar",
    )
)


class PoolerFoundError(ConnectionError):
    """A pooler answers where PostgreSQL itself was expected."""

    def __init__(self) -> None:
        super().__init__(POOLER_FOUND)


class PooledConnection(asyncpg.Connection):
    """A connection through a pooler in transaction mode.

    A statement gets a name only where the pooler gives the statement to each server connection that needs it.
    Elsewhere its text travels with each execution. Its description is kept here in both cases, so that an
    execution is one round trip.
    """

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - asyncpg's own
        super().__init__(*args, **options)
        self._keeps_names = False
        self._named = 0
        self._described: dict[str, PreparedStatement[Any]] = {}

    @property
    def keeps_names(self) -> bool:
        """Whether the pooler takes care of prepared statements."""
        return self._keeps_names

    async def find_out(self) -> None:
        """Find out whether the pooler keeps statements. After an exception, terminate the connection."""
        name = f"hoc_{uuid4().hex}"
        await self.execute("BEGIN")
        statement = await self.prepare(_IS_KNOWN, name=name)
        # A pooler that takes care of statements names them itself.
        self._keeps_names = not await statement.fetchval(name)
        await self.execute("COMMIT" if self._keeps_names else f"DEALLOCATE {name}; COMMIT")

    async def look_up_types(self) -> None:
        """Do now what the driver does when it meets a type: it turns JIT off, and on again.

        In one transaction, both are on the same server connection. After an exception, terminate the
        connection.
        """
        await self.execute("BEGIN")
        await self.prepare(_ARRAYS, name="")
        await self.execute("COMMIT")

    async def prepare(
        self,
        query: str,
        *,
        name: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - asyncpg's signature
        record_class: Any = None,  # noqa: ANN401 - asyncpg's own
    ) -> "PreparedStatement[Any]":
        if name is None:
            self._named += 1
            name = f"hoc_{self._named}" if self._keeps_names else ""
        statement: PreparedStatement[Any] = await super().prepare(
            query, name=name, timeout=timeout, record_class=record_class
        )
        return statement

    async def fetch(
        self,
        query: str,
        *args: Any,  # noqa: ANN401 - asyncpg's own
        timeout: float | None = None,  # noqa: ASYNC109 - asyncpg's signature
        record_class: Any = None,  # noqa: ANN401 - asyncpg's own
    ) -> list[Any]:
        statement = self._described.get(query)
        if statement is None:
            statement = await self.prepare(query, timeout=timeout, record_class=record_class)
            if len(self._described) >= _MOST_STATEMENTS:
                del self._described[next(iter(self._described))]
            self._described[query] = statement
        try:
            return await statement.fetch(*args, timeout=timeout)
        except asyncpg.InvalidCachedStatementError:
            await self.reload_schema_state()
            if self.is_in_transaction():
                raise
            return await self.fetch(query, *args, timeout=timeout, record_class=record_class)

    async def reload_schema_state(self) -> None:
        """Forget descriptions and use no more names: the pooler keeps outdated statements for everybody."""
        self._keeps_names = False
        self._described.clear()
        await super().reload_schema_state()


async def settle(connection: asyncpg.Connection, pooler: Pooler | None, limits: Mapping[str, str]) -> None:
    """Make a new connection fit for use. Raises PoolerFoundError if ``pooler`` is None and there is one."""
    if pooler is None:
        # Unnamed: another client's statement may have the name behind a pooler.
        process = await (await connection.prepare(_SERVER_PROCESS, name="")).fetchval()
        if process != connection.get_server_pid():
            raise PoolerFoundError
    elif pooler == "session":
        for name, value in limits.items():
            await connection.execute(f"SET {name} = {value}")
    else:
        await cast("PooledConnection", connection).find_out()


def refuses_parameters(problem: Exception) -> bool:
    """Whether a pooler refused the parameters that hoc sends to PostgreSQL as it connects."""
    return sqlstate(problem) == _PROTOCOL_VIOLATION and "startup parameter" in str(problem)
