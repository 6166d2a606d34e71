"""The database in memory and its sessions: committed reads, one writer at a time, all or nothing."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar

from hoc.cus.account.L5_engines.email_address import parse_email
from hoc.cus.account.L5_engines.session import Clock, utc_now
from hoc.cus.account.L5_schemas.errors import ConflictError, NotFoundError
from hoc.cus.account.L5_schemas.results import EventResult
from hoc.testing.rows import UserRow
from hoc.testing.tables import Tables

T = TypeVar("T")


class MemoryDatabase:
    """Stands in for `hoc.database.Database`; its sessions stand in for a caller's AsyncSession.

    A session reads what is committed, and from its first write on its own copy. Writers wait for one another.
    """

    def __init__(self) -> None:
        self._committed = Tables()
        self._lock = asyncio.Lock()
        self._writer: asyncio.Task[object] | None = None

    def session(self) -> "MemorySession":
        """A session to commit or roll back oneself; leaving ``async with`` rolls back what is left."""
        return MemorySession(self)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator["MemorySession"]:
        """A session that commits at the end, or rolls back with the exception."""
        async with self.session() as session, session.begin():
            yield session

    async def transact(self, work: Callable[["MemorySession"], Awaitable[T]]) -> T:
        """Run ``work`` in a transaction."""
        async with self.transaction() as session:
            return await work(session)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator["MemorySession"]:
        """A session that sees what is committed at each call, and cannot write."""
        yield MemorySession(self, read_only=True)

    async def close(self) -> None:
        """Nothing to close; for code that closes its database."""

    async def add_user(
        self,
        user_id: str,
        email: str,
        name: str | None = None,
        *,
        email_verified: bool = True,
        session: "MemorySession | None" = None,
        clock: Clock = utc_now,
    ) -> str:
        """Store an active account and return its id; committed at once unless a session is given.

        Raises:
            InvalidInputError: not an e-mail address.
            ConflictError: the id, or an active account's address, is taken.
        """
        if session is None:
            async with self.transaction() as own:
                return await self.add_user(
                    user_id, email, name, email_verified=email_verified, session=own, clock=clock
                )
        address, now = parse_email(email), clock()
        tables = await session.writable()
        if user_id in tables.users or tables.account_by_email(address.key):
            raise ConflictError("This user id or e-mail address is taken.")
        user = UserRow(user_id, address.given, address.key, name, email_verified, now, now)
        tables.add_user(user, actor=None)
        return user_id

    async def deactivate_user(self, user_id: str, *, deleted: bool = False) -> None:
        """Take an account's rights away, as deactivating or deleting it does.

        Raises:
            NotFoundError: no such account.
            LastOwnerError: a tenant would have no active owner left.
        """
        async with self.transaction() as session:
            tables = await session.writable()
            found = tables.set_account_status(
                user_id, is_active=False, is_deleted=deleted, now=utc_now(), reason=None, actor=None
            )
            if not found:
                raise NotFoundError("There is no such account.")

    def events(self) -> list[EventResult]:
        """What has happened and is committed, oldest first: what a server would publish."""
        return self._committed.line()

    def committed(self) -> Tables:
        """The state every new reader sees; nobody changes it."""
        return self._committed

    async def lock(self) -> Tables:
        """Become the one writer, and get a copy of the committed state."""
        if self._lock.locked() and self._writer is asyncio.current_task():
            raise RuntimeError(
                "Another session of this task has uncommitted writes; commit or roll back first, "
                "or this one would wait for ever."
            )
        await self._lock.acquire()
        self._writer = asyncio.current_task()
        return self._committed.copy()

    def unlock(self, tables: Tables | None = None) -> None:
        """Stop being the writer; ``tables`` become what is committed."""
        if tables is not None:
            self._committed = tables
        self._writer = None
        self._lock.release()


class MemorySession:
    """A transaction on a `MemoryDatabase`, with the part of AsyncSession that code around the facade uses."""

    def __init__(self, database: MemoryDatabase, *, read_only: bool = False) -> None:
        self.database = database
        self._read_only = read_only
        self._own: Tables | None = None

    async def commit(self) -> None:
        """Make the writes so far everybody's; the next write begins a new transaction."""
        if self._own is not None:
            own, self._own = self._own, None
            self.database.unlock(own)

    async def rollback(self) -> None:
        """Forget the writes since the last commit."""
        if self._own is not None:
            self._own = None
            self.database.unlock()

    async def close(self) -> None:
        """Roll back what is not committed."""
        await self.rollback()

    async def __aenter__(self) -> Self:
        """Use the session until the block ends; `close` follows."""
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Self]:
        """Commit at the end of the block, or roll back with its exception."""
        try:
            yield self
        except BaseException:
            await self.rollback()
            raise
        await self.commit()

    def visible(self) -> Tables:
        """What this session sees: its own writes, else what is committed."""
        return self.database.committed() if self._own is None else self._own

    async def writable(self) -> Tables:
        """The session's own tables, to be changed in place; waits until no other session is writing."""
        if self._read_only:
            raise RuntimeError("A session from reading() cannot write; use transaction().")
        if self._own is None:
            self._own = await self.database.lock()
        return self._own
