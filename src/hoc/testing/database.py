"""The database in memory and its sessions: transactions of one writer at a time, and committed reads."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self, TypeVar

from hoc.concurrency.per_loop import PerLoop
from hoc.cus.account.L5_engines.email_address import parse_email
from hoc.cus.account.L5_engines.session import Clock, utc_now
from hoc.cus.account.L5_engines.text import clean_line
from hoc.cus.account.L5_schemas.errors import ConflictError, NotFoundError
from hoc.cus.account.L5_schemas.results import EventResult
from hoc.testing.rows import UserRow
from hoc.testing.tables import Tables

T = TypeVar("T")


class MemoryDatabase:
    """Replaces `hoc.database.Database` in tests; its sessions replace a caller's AsyncSession.

    A session reads the committed state and, from its first write on, its own copy. Only one writes at a time.
    """

    def __init__(self) -> None:
        self._committed = Tables()
        self._locks = PerLoop(asyncio.Lock)
        self._held: asyncio.Lock | None = None
        self._writer: asyncio.Task[object] | None = None

    def session(self) -> "MemorySession":
        """A session that the caller commits. The end of ``async with`` rolls back all uncommitted writes."""
        return MemorySession(self)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator["MemorySession"]:
        """A session that commits at the end of the block, or rolls back if the block raises."""
        async with self.session() as session, session.begin():
            yield session

    async def transact(self, work: Callable[["MemorySession"], Awaitable[T]]) -> T:
        """Run ``work`` in a transaction."""
        async with self.transaction() as session:
            return await work(session)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator["MemorySession"]:
        """A session that cannot write. Each of its calls reads the committed state."""
        yield MemorySession(self, read_only=True)

    async def close(self) -> None:
        """Do nothing: for code that closes its database."""

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
        """Store an active account and return its id. Commits unless a session is given.

        Raises InvalidInputError (this is not an e-mail address, or no name) or ConflictError (an account has
        the id, or an active account the address).
        """
        if session is None:
            async with self.transaction() as own:
                return await self.add_user(
                    user_id, email, name, email_verified=email_verified, session=own, clock=clock
                )
        address, now = parse_email(email), clock()
        name = None if name is None else clean_line("name", name)
        tables = await session.writable()
        if user_id in tables.users or tables.account_by_email(address.key):
            raise ConflictError("This user id or e-mail address is taken.")
        user = UserRow(user_id, address.given, address.key, name, email_verified, now, now)
        tables.add_user(user, actor=None)
        return user_id

    async def deactivate_user(self, user_id: str, *, deleted: bool = False, clock: Clock = utc_now) -> None:
        """Deactivate or delete an account together with its memberships.

        Raises NotFoundError (there is no such account) or LastOwnerError (a tenant would have no active
        owner).
        """
        async with self.transaction() as session:
            tables = await session.writable()
            found = tables.set_account_status(
                user_id, is_active=False, is_deleted=deleted, now=clock(), reason=None, actor=None
            )
            if not found:
                raise NotFoundError("There is no such account.")

    def events(self) -> list[EventResult]:
        """The committed events, oldest first, as a server would publish them."""
        return self._committed.numbered_events()

    def committed(self) -> Tables:
        """The committed state, which is never changed in place."""
        return self._committed

    async def lock(self) -> Tables:
        """Become the only writer. Returns a copy of the committed state."""
        lock = self._locks.get()
        if lock.locked() and self._writer is asyncio.current_task():
            raise RuntimeError(
                "Another session of this task has uncommitted writes, and this session would wait for it for "
                "ever. Commit or roll back the other session first."
            )
        await lock.acquire()
        self._held = lock
        self._writer = asyncio.current_task()
        return self._committed.copy()

    def unlock(self, tables: Tables | None = None) -> None:
        """Stop being the writer. ``tables``, if given, become the committed state."""
        if tables is not None:
            self._committed = tables
        self._writer = None
        if self._held is not None:
            self._held.release()


class MemorySession:
    """A transaction on a `MemoryDatabase`, with the methods of AsyncSession that the facade's callers use."""

    def __init__(self, database: MemoryDatabase, *, read_only: bool = False) -> None:
        self.database = database
        self._read_only = read_only
        self._own: Tables | None = None
        self._blocks = 0  # of begin and begin_nested, around the code that has the session
        self._savepoints = 0

    async def commit(self) -> None:
        """Commit the writes. The next write begins a new transaction.

        Raises RuntimeError in a block that commits by itself, such as `begin` or an operation's hook.
        """
        if self._blocks:
            raise RuntimeError(
                "This session is in a block that commits or rolls back at its end. Leave the block instead."
            )
        if self._own is not None:
            own, self._own = self._own, None
            self.database.unlock(own)

    async def rollback(self) -> None:
        """Discard the writes since the last commit. Raises RuntimeError in a block of `begin_nested`."""
        if self._savepoints:
            raise RuntimeError(
                "This session is in a block of begin_nested. An exception rolls the block back."
            )
        self._discard()

    def _discard(self) -> None:
        if self._own is not None:
            self._own = None
            self.database.unlock()

    async def close(self) -> None:
        """Roll back."""
        await self.rollback()

    async def __aenter__(self) -> Self:
        """Return the session, which the end of the block closes."""
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the session."""
        await self.close()

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Self]:
        """Commit at the end of the block, or roll back if the block raises."""
        try:
            with self._block():
                yield self
        except BaseException:
            self._discard()
            raise
        await self.commit()

    @asynccontextmanager
    async def begin_nested(self) -> AsyncGenerator[Self]:
        """Undo what the block wrote if it raises, and nothing else."""
        before = None if self._own is None else self._own.copy()
        self._savepoints += 1
        try:
            with self._block():
                yield self
        except BaseException:
            if before is None:
                self._discard()
            else:
                self._own = before
            raise
        finally:
            self._savepoints -= 1

    async def flush(self) -> None:
        """Do nothing: every write is made at once."""

    @contextmanager
    def _block(self) -> Generator[None]:
        self._blocks += 1
        try:
            yield
        finally:
            self._blocks -= 1

    def visible(self) -> Tables:
        """The state that this session reads: its own copy, or the committed state."""
        return self.database.committed() if self._own is None else self._own

    async def writable(self) -> Tables:
        """The session's own copy, to be changed in place. Waits until no other session is writing."""
        if self._read_only:
            raise RuntimeError("A session from reading() cannot write. Use transaction().")
        if self._own is None:
            self._own = await self.database.lock()
        return self._own
