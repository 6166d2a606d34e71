"""Running a statement with named values on the caller's session."""

from typing import Any, TypeAlias

from sqlalchemy import BindParameter, Executable, Row, Select, bindparam
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from hoc.database.direct import DirectConnection
from hoc.database.direct import Row as DirectRow

AnyRow: TypeAlias = Row[*tuple[Any, ...]] | DirectRow
AnySelect: TypeAlias = Select[*tuple[Any, ...]]
SqlSession: TypeAlias = AsyncSession | AsyncConnection | DirectConnection

_PREFIX = "given_"


def param(name: str, kind: Any, *, literal_execute: bool = False) -> BindParameter[Any]:  # noqa: ANN401 - a type or an instance of one
    """A bind parameter, with a prefix: SQLAlchemy would set a column of the same name to its value."""
    return bindparam(f"{_PREFIX}{name}", type_=kind, literal_execute=literal_execute)


async def fetch_one(session: SqlSession, statement: Executable, **values: Any) -> AnyRow | None:  # noqa: ANN401 - bind values are of any type
    result = await session.execute(statement, {f"{_PREFIX}{name}": value for name, value in values.items()})
    return result.first()


async def fetch_all(session: SqlSession, statement: Executable, **values: Any) -> list[AnyRow]:  # noqa: ANN401 - bind values are of any type
    result = await session.execute(statement, {f"{_PREFIX}{name}": value for name, value in values.items()})
    return list(result.all())
