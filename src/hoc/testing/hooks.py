"""What hooks need of the database in memory."""

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import orjson

from hoc.testing.database import MemoryDatabase, MemorySession
from hoc.testing.tables import Tables


class MemoryWrittenEvents:
    def savepoint(self, session: MemorySession) -> AbstractAsyncContextManager[object]:
        return session.begin_nested()

    async def last(self, session: MemorySession) -> int:
        return len((await session.writable()).events)

    async def since(
        self, session: MemorySession, position: int, types: Collection[str]
    ) -> list[tuple[str, Any]]:
        rows = session.visible().events[position:]
        return [(row.type, orjson.loads(row.payload)) for row in rows if row.type in types]

    @asynccontextmanager
    async def opened(self, session: MemorySession) -> AsyncGenerator[MemorySession]:
        yield session


Scope = Callable[[MemorySession], AbstractAsyncContextManager[None]]


class ScopedDatabase:
    """A database whose every transaction has all its work within ``scope``."""

    def __init__(self, database: "MemoryDatabase | ScopedDatabase", scope: Scope) -> None:
        self.memory: MemoryDatabase = database if isinstance(database, MemoryDatabase) else database.memory
        self._database = database
        self._scope = scope

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[MemorySession]:
        async with self._database.transaction() as session, self._scope(session):
            yield session

    def committed(self) -> Tables:
        return self._database.committed()
