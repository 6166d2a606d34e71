"""Connections to one PostgreSQL database: single statements without a transaction, and whole transactions."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.concurrency.effect import Effect, current_effect
from hoc.concurrency.per_loop import PerLoop
from hoc.database.connecting import PasswordSource
from hoc.database.direct import (
    CompiledStatements,
    DirectConnection,
    Row,
    SqlAlchemyRequiredError,
    TransactionRequiredError,
)
from hoc.database.engine import POOL_TIMEOUT_SECONDS, create_engine
from hoc.database.freshness import Freshness
from hoc.database.handoff import ConnectionHandoff
from hoc.database.outages import (
    DRIVER_ERRORS,
    LOST_STATEMENTS,
    READ_ONLY,
    ErrorTranslator,
    cannot_store,
    may_succeed_again,
    meaning,
    sqlstate,
    translated_errors,
)
from hoc.database.pooler import Pooler
from hoc.database.transactions import (
    cancel_statement,
    committing,
    direct_transaction,
    transaction,
)

T = TypeVar("T")
Connection = TypeVar("Connection")

MAX_ATTEMPTS = 3

_TROUBLE_SECONDS = 10.0


class Database:
    """A pool of connections to one database, in one event loop at a time.

    In another event loop the pool begins anew. `close` it before its loop ends, or its connections stay open
    until they are garbage.

    Args:
        url: ``postgresql://user:password@host:port/name``, with libpq's parameters.
        pool_size: the most connections. A caller that gets none within a second gets the error for an outage.
        statement_timeout_ms: PostgreSQL cancels a statement that takes longer.
        errors: the errors to raise in place of the driver's. By default an outage raises
            `hoc.database.outages.DatabaseUnavailableError`, and a violated constraint the driver's error.
        pooled: False opens a connection for each block and closes it at its end, so that any number of event
            loops and threads can use the database at the same time.
        password: gives the password of each new connection, in place of the URL's.
        pooler: what pools connections between here and PostgreSQL. In transaction mode, PostgreSQL's time
            limits are those of the role.

    Raises:
        ValueError: the URL is wrong.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 8,
        statement_timeout_ms: int = 5_000,
        errors: ErrorTranslator | None = None,
        pooled: bool = True,
        password: PasswordSource | None = None,
        pooler: Pooler | None = None,
    ) -> None:
        self.engine = create_engine(
            url,
            pool_size=pool_size,
            statement_timeout_ms=statement_timeout_ms,
            pooled=pooled,
            password=password,
            pooler=pooler,
        )
        self._freshness = Freshness(self.engine)
        self._failed_write: tuple[float, str] | None = None
        self._is_pooled = pooled
        # The others are for SQLAlchemy, which could wait for ever for one that is handed on.
        self._most_handed_on = pool_size - pool_size // 5
        self._handoff = PerLoop(self._begin_anew)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._first = Lock()
        self._is_initialized = False
        self._statements = CompiledStatements(self.engine.dialect)
        self._errors = errors or ErrorTranslator()
        self._after_write: Callable[[], None] = _nothing
        self._before_use: Callable[[], None] = _nothing
        self._direct_connection = DirectConnection

    def after_write(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called whenever `transact` or `write` has committed."""
        self._after_write = callback

    def before_use(self, check: Callable[[], None]) -> None:
        """Have ``check`` called before each use. What it raises is raised in place of using the database."""
        self._before_use = check

    async def probe(self, statement: Executable) -> list[Row]:
        """The rows of a statement, without that check. Raises the driver's errors as they are."""
        async with self._reading() as connection:
            return await connection.execute(statement)

    def unguarded(self) -> AbstractAsyncContextManager[DirectConnection]:
        """As `reading`, without that check, and with the driver's errors as they are."""
        return self._reading()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[DirectConnection, None]:
        """A connection on which each statement is a transaction by itself: one round trip."""
        self._before_use()
        with translated_errors(self._errors, self._notice):
            async with self._reading() as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection, None]:
        """A transaction that commits at the end of the block, or rolls back with the block's exception."""
        self._before_use()
        effect = current_effect()
        with translated_errors(self._errors, self._notice, effect):
            async with self._transaction(effect) as connection:
                yield connection

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run ``work`` in a transaction, up to three times if PostgreSQL ends it to resolve a deadlock."""
        effect = current_effect()
        return await self._write(work, partial(self._transaction, effect), effect)

    async def atomically(self, work: Callable[[DirectConnection | AsyncConnection], Awaitable[T]]) -> T:
        """As `transact`, for work whose statements SQLAlchemy need not execute: that costs as much again.

        Work that needs SQLAlchemy, as hooks do, runs by `transact`.
        """
        if not self._is_pooled:
            return await self.transact(work)
        effect = current_effect()
        try:
            return await self._write(work, partial(self._direct_transaction, effect), effect)
        except SqlAlchemyRequiredError:
            return await self.transact(work)

    async def write(self, work: Callable[[DirectConnection | AsyncConnection], Awaitable[T]]) -> T:
        """Run ``work``, each of whose statements is a transaction by itself, and one of which writes.

        Retries as `transact` does. Work that turns out to need a transaction before it writes runs in one.
        """
        effect = current_effect()

        async def committed(connection: DirectConnection) -> T:
            with committing(effect):
                return await work(connection)

        try:
            return await self._write(committed, self._reading, effect)
        except SqlAlchemyRequiredError:
            return await self.transact(work)
        except TransactionRequiredError:
            return await self.atomically(work)

    def drop_connections(self) -> None:
        """Use no connection again that is open now: they lead to a server that takes no writes any more."""
        self._freshness.drop()

    def write_trouble(self) -> str | None:
        """Why the latest write could not be stored, for ten seconds after it. None if it could."""
        if self._failed_write is None or time.monotonic() - self._failed_write[0] > _TROUBLE_SECONDS:
            return None
        return self._failed_write[1]

    async def close(self) -> None:
        """Close the connections. The next use opens new ones."""
        self.enter_loop()
        await self.engine.dispose()

    def enter_loop(self) -> None:
        """Have the engine's pool belong to the running event loop, and have what is not used be in it.

        For sessions of your own on ``engine``: the other methods do it by themselves. Raises RuntimeError if
        another running loop uses the pool.
        """
        if self._is_pooled:
            self._handoff.get().return_idle()
        else:
            self._initialize()

    async def _write(
        self,
        work: Callable[[Connection], Awaitable[T]],
        session: Callable[[], AbstractAsyncContextManager[Connection]],
        effect: Effect,
    ) -> T:
        self._before_use()
        with translated_errors(self._errors, self._notice, effect):
            done = await _attempt(work, session)
        self._failed_write = None
        self._after_write()
        return done

    def _notice(self, problem: Exception) -> None:
        """Remember that the server stores nothing at the moment, and leave one that was demoted.

        A pooler that has lost its statements may have begun anew, and be another one now.
        """
        state = sqlstate(problem) or ""
        if cannot_store(state):
            self._failed_write = time.monotonic(), f"{meaning(state)} (SQLSTATE {state})"
        if state == READ_ONLY or state in LOST_STATEMENTS:
            self.drop_connections()

    def _begin_anew(self) -> ConnectionHandoff:
        """Forget the pool of the event loop before: a connection works only in the loop that opened it."""
        if self._loop is not None:
            if self._loop.is_running():
                raise RuntimeError(
                    "Another running event loop uses this Database. Open one with pooled=False for this loop:"
                    " open_database(url, pooled=False)."
                )
            self.engine.sync_engine.dispose(close=False)
        self._loop = asyncio.get_running_loop()
        return ConnectionHandoff(
            self.engine, self._freshness, self._most_handed_on, timeout_seconds=POOL_TIMEOUT_SECONDS
        )

    def _initialize(self) -> None:
        """Connect once before several loops may, because SQLAlchemy's lock for that works in one loop."""
        with self._first:
            if not self._is_initialized:
                with ThreadPoolExecutor(1) as thread:
                    thread.submit(asyncio.run, self._connect()).result()
                self._is_initialized = True

    async def _connect(self) -> None:
        async with self.engine.connect():
            pass

    def _transaction(self, effect: Effect) -> AbstractAsyncContextManager[AsyncConnection]:
        self.enter_loop()
        return transaction(self.engine, effect)

    def _reading(self) -> AbstractAsyncContextManager[DirectConnection]:
        return self._handed_on() if self._is_pooled else self._unpooled()

    @asynccontextmanager
    async def _direct_transaction(self, effect: Effect) -> AsyncGenerator[DirectConnection, None]:
        handoff = self._handoff.get()
        pooled = await handoff.acquire()
        driver: Any = pooled.driver_connection
        try:
            async with direct_transaction(driver, effect):
                yield self._direct_connection(driver, self._statements, in_transaction=True)
        finally:
            was_handed_on = handoff.release(pooled, is_sound=not driver.is_closed())
        if was_handed_on:
            await asyncio.sleep(0)

    @asynccontextmanager
    async def _unpooled(self) -> AsyncGenerator[DirectConnection, None]:
        self._initialize()
        async with self.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            yield self._direct_connection(raw.driver_connection, self._statements)

    @asynccontextmanager
    async def _handed_on(self) -> AsyncGenerator[DirectConnection, None]:
        handoff = self._handoff.get()
        pooled = await handoff.acquire()
        driver: Any = pooled.driver_connection
        is_sound = False  # after a cancelled statement the connection may still be busy
        try:
            yield self._direct_connection(driver, self._statements)
            is_sound = True
        except (self._errors.base, asyncpg.PostgresError, TransactionRequiredError):
            is_sound = True
            raise
        except asyncio.CancelledError:
            await cancel_statement(driver)
            raise
        finally:
            was_handed_on = handoff.release(pooled, is_sound=is_sound)
        if was_handed_on:
            # The next task sends its statement now, so that PostgreSQL works while this task goes on.
            await asyncio.sleep(0)


async def _attempt(
    work: Callable[[Connection], Awaitable[T]],
    session: Callable[[], AbstractAsyncContextManager[Connection]],
) -> T:
    for _ in range(MAX_ATTEMPTS - 1):
        try:
            async with session() as connection:
                return await work(connection)
        except DRIVER_ERRORS as problem:
            if not may_succeed_again(problem):
                raise
    async with session() as connection:
        return await work(connection)


def _nothing() -> None:
    pass
