"""A connection through a pooler in transaction mode."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import asyncpg

from hoc.database.outages import is_outage
from hoc.database.statement_functions import make_function

if TYPE_CHECKING:  # only the type has parameters
    from asyncpg.prepared_stmt import PreparedStatement

_log = logging.getLogger("hoc.database")

_MOST_STATEMENTS: Final = 100
_OFTEN: Final = 5  # times; pgJDBC prepares a statement on the server as late
_IS_KNOWN: Final = "SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE name = $1)"
# All arrays that hoc sends or reads.
_ARRAYS: Final = "SELECT " + ", ".join(
    f"CAST(NULL AS {name}[])"
    for name in (
        *("bigint", "boolean", "bytea", "date", "integer", "json", "jsonb", "text", "timestamptz", "uuid"),
        "varchar",
    )
)
_OUTDATED: Final = (
    asyncpg.InvalidCachedStatementError,
    asyncpg.UndefinedFunctionError,
    asyncpg.DatatypeMismatchError,
)


@dataclass(slots=True)
class _Described:
    """A statement as one connection executes it: by its text, or by a call of its function."""

    prepared: "PreparedStatement[Any]"
    is_call: bool = False
    executions: int = 0

    def outdated_by(self, problem: Exception) -> bool:
        return self.is_call or isinstance(problem, asyncpg.InvalidCachedStatementError)


class PooledConnection(asyncpg.Connection):
    """A connection whose transactions are each on any server connection of the pooler.

    A statement gets a name only where the pooler gives the statement to each server connection that needs it.
    Elsewhere its text travels with each execution, and after the fifth one a call of its function. Its
    description is kept here in each case, so that an execution is one round trip.
    """

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - asyncpg's own
        super().__init__(*args, **options)
        self._keeps_names = False
        self._named = 0
        self._described: dict[str, _Described] = {}
        self._often_executed: list[str] = []

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

    async def execute(
        self,
        query: str,
        *args: Any,  # noqa: ANN401 - asyncpg's own
        timeout: float | None = None,  # noqa: ASYNC109 - asyncpg's signature
    ) -> str:
        await self._make_functions()  # before the BEGIN of a transaction, which may be all that comes here
        status: str = await super().execute(query, *args, timeout=timeout)
        return status

    async def fetch(
        self,
        query: str,
        *args: Any,  # noqa: ANN401 - asyncpg's own
        timeout: float | None = None,  # noqa: ASYNC109 - asyncpg's signature
        record_class: Any = None,  # noqa: ANN401 - asyncpg's own
    ) -> list[Any]:
        await self._make_functions()
        described = self._described.get(query)
        if described is None:
            described = await self._describe(query, timeout=timeout, record_class=record_class)
        try:
            rows: list[Any] = await described.prepared.fetch(*args, timeout=timeout)
        except _OUTDATED as problem:
            if not described.outdated_by(problem):
                raise
            await self.reload_schema_state()
            if self.is_in_transaction():
                # `Database` runs it again in another one.
                raise asyncpg.InvalidCachedStatementError(str(problem)) from problem
            return await self.fetch(query, *args, timeout=timeout, record_class=record_class)
        described.executions += 1
        if described.executions == _OFTEN and not described.is_call:
            self._often_executed.append(query)
        return rows

    async def reload_schema_state(self) -> None:
        """Forget descriptions and use no more names: the pooler keeps outdated statements for everybody."""
        self._keeps_names = False
        self._described.clear()
        await super().reload_schema_state()

    async def _describe(self, query: str, **options: Any) -> _Described:  # noqa: ANN401 - asyncpg's own
        described = _Described(await self.prepare(query, **options))
        if len(self._described) >= _MOST_STATEMENTS:
            del self._described[next(iter(self._described))]
        self._described[query] = described
        return described

    async def _make_functions(self) -> None:
        """Have what was executed often be executed by functions, unless a transaction is under way."""
        if not self._often_executed or self.is_in_transaction():
            return
        often_executed, self._often_executed = self._often_executed, []
        for query in often_executed:
            described = self._described.get(query)
            if described is not None and not self._keeps_names:
                await self._make_function(query, described)

    async def _make_function(self, query: str, described: _Described) -> None:
        try:
            call = await make_function(self, query, described.prepared)
            if call is not None:
                self._described[query] = _Described(await self.prepare(call), is_call=True)
        except asyncpg.PostgresError as problem:
            if is_outage(problem):
                raise
            _log.warning("A statement behind the pooler is planned with each execution: %s", problem)
