"""What hooks need of PostgreSQL: the events that a transaction has written, and a session for hooks."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Self, TypeVar

from sqlalchemy import BigInteger, ColumnElement, case, false, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.fragments import any_of
from hoc.cus.account.L6_drivers.tables import outbox
from hoc.database import Database
from hoc.database.direct import DirectConnection, SqlAlchemyRequiredError

T = TypeVar("T")

AFTER = param("after", BigInteger)
# The 64-bit number of the running transaction, and that of the row's, whose lower half is its xmin. The two
# are less than 2^31 apart.
_RUNNING = "pg_current_xact_id_if_assigned()::text::bigint"
_WRITTEN_BY = (
    f"{_RUNNING} - 2147483648"
    f" + mod(xmin::text::bigint - mod({_RUNNING}, 4294967296) + 6442450944, 4294967296)"
)


def _is_own() -> ColumnElement[bool]:
    """Whether the running transaction, or a savepoint of it, wrote the row.

    A row that is visible although its transaction is in progress is the reader's own. Rows from before the
    position are not looked at: the number of an old row's transaction may be in use again.
    """
    status: ColumnElement[str] = literal_column(f"pg_xact_status(({_WRITTEN_BY})::text::xid8)")
    return case((outbox.c.position > AFTER, status == literal_column("'in progress'")), else_=false())


LAST = select(func.coalesce(func.max(outbox.c.position), 0).label("position"))

SINCE = (
    select(outbox.c.type, outbox.c.payload)
    .where(outbox.c.position > AFTER, any_of(outbox.c.type, "types"), _is_own())
    .order_by(outbox.c.position)
)


class SqlWrittenEvents:
    @asynccontextmanager
    async def savepoint(self, session: SqlSession) -> AsyncGenerator[None]:
        if isinstance(session, DirectConnection):
            raise SqlAlchemyRequiredError("Hooks get a session of SQLAlchemy's.")
        async with session.begin_nested() as savepoint:
            yield
            if not savepoint.is_active:
                raise RuntimeError("A hook has ended the operation's transaction, which it must not do.")

    async def last(self, session: SqlSession) -> int:
        [row] = await fetch_all(session, LAST)
        position: int = row.position
        return position

    async def since(
        self, session: SqlSession, position: int, types: Collection[str]
    ) -> list[tuple[str, Any]]:
        rows = await fetch_all(session, SINCE, after=position, types=list(types))
        return [(row.type, row.payload) for row in rows]

    @asynccontextmanager
    async def opened(self, session: AsyncSession | AsyncConnection) -> AsyncGenerator[AsyncSession]:
        if isinstance(session, AsyncSession):
            yield session
            await session.flush()
            return
        # Its commit does not end the operation's transaction. Its rollback does, and `savepoint` raises.
        async with AsyncSession(
            session, expire_on_commit=False, join_transaction_mode="rollback_only"
        ) as opened:
            yield opened
            await opened.flush()


Scope = Callable[[AsyncConnection], AbstractAsyncContextManager[None]]


class ScopedDatabase:
    """A database whose every write is a transaction, with all its work within ``scope``."""

    def __init__(self, database: Database | Self, scope: Scope) -> None:
        self._database = database
        self._scope = scope

    def reading(self) -> AbstractAsyncContextManager[DirectConnection]:
        return self._database.reading()

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async def scoped(session: AsyncConnection) -> T:
            async with self._scope(session):
                return await work(session)

        return await self._database.transact(scoped)

    async def atomically(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        return await self.transact(work)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        return await self.transact(work)
