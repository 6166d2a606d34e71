"""Statements sent straight to asyncpg on SQLAlchemy's connections: each a transaction of its own, or in one.

SQLAlchemy compiles each statement once, but does not execute it: for a short statement, its execution costs
several times as much as PostgreSQL and the network.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Self
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import ClauseElement, Dialect, Executable
from sqlalchemy.ext.asyncio import AsyncTransaction
from sqlalchemy.sql.compiler import Compiled, SQLCompiler

from hoc.database.transactions import Savepoint


class Row(asyncpg.Record):
    """A row whose columns are attributes too."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of any type
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Rows(list[Row]):
    """A statement's rows, with the methods of SQLAlchemy's Result that hoc uses."""

    def all(self) -> list[Row]:
        return self

    def first(self) -> Row | None:
        return self[0] if self else None

    def scalar(self) -> Any:  # noqa: ANN401 - of any type
        return self[0][0] if self else None


@dataclass(frozen=True, slots=True)
class _Statement:
    """A compiled statement. ``constants`` are the values that the statement itself contains."""

    compiled: Compiled
    names: tuple[str, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict[str, Any])
    is_final: bool = True

    @classmethod
    def of(cls, statement: Executable, dialect: Dialect) -> Self:
        assert isinstance(statement, ClauseElement)  # noqa: S101 - every statement is; its type does not say so
        compiled = statement.compile(dialect=dialect)
        if not isinstance(compiled, SQLCompiler):
            return cls(compiled)
        return cls(
            compiled,
            tuple(compiled.positiontup or ()),
            {name: value for name, value in compiled.params.items() if not compiled.binds[name].required},
            not (compiled.literal_execute_params or compiled.post_compile_params),
        )

    def with_values(self, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        if self.is_final:
            return str(self.compiled), [
                values[name] if name in values else self.constants[name] for name in self.names
            ]
        assert isinstance(self.compiled, SQLCompiler)  # noqa: S101 - nothing else has parameters
        state = self.compiled.construct_expanded_state(dict(values))
        return state.statement, state.positional_parameters


class CompiledStatements:
    """Statements compiled once each for one dialect, because servers differ in how text is quoted."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._compiled: WeakKeyDictionary[Executable, _Statement] = WeakKeyDictionary()

    def get(self, statement: Executable) -> _Statement:
        compiled = self._compiled.get(statement)
        if compiled is None:
            compiled = self._compiled[statement] = _Statement.of(statement, self._dialect)
        return compiled


class TransactionRequiredError(Exception):
    """This work needs a transaction. `Database.write` runs it again in one."""


class SqlAlchemyRequiredError(TransactionRequiredError):
    """This work needs a transaction of SQLAlchemy's. `Database.atomically` runs it again in one."""


class DirectConnection:
    """Executes SQLAlchemy's statements, one after the other, with the methods of AsyncConnection."""

    def __init__(
        self,
        driver: Any,  # noqa: ANN401 - asyncpg's connection, or a proxy of one
        statements: CompiledStatements,
        *,
        in_transaction: bool = False,
    ) -> None:
        self._driver = driver
        self._statements = statements
        self.in_transaction = in_transaction
        self.primary: Callable[[], AbstractAsyncContextManager[DirectConnection]] | None = None
        """Opens a connection to the primary, where this one leads to a replica; else None."""

    @property
    def statements(self) -> CompiledStatements:
        return self._statements

    @property
    def driver(self) -> Any:  # noqa: ANN401 - see above
        return self._driver

    async def execute(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Rows:
        sql, arguments = self._statements.get(statement).with_values(values or {})
        return Rows(await self._fetch(sql, arguments))

    async def _fetch(self, sql: str, arguments: Sequence[Any]) -> list[Row]:
        rows: list[Row] = await self._driver.fetch(sql, *arguments)
        return rows

    async def scalar(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - of any type
        return (await self.execute(statement, values)).scalar()

    def begin_nested(self) -> AbstractAsyncContextManager[AsyncTransaction | Savepoint]:
        """Raises TransactionRequiredError where there is no transaction to set a savepoint in."""
        if not self.in_transaction:
            raise TransactionRequiredError("A savepoint needs a transaction.")
        return Savepoint(self._driver)
