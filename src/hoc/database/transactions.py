"""Transactions, and whether one that failed may have been committed."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, Self

import asyncpg
from sqlalchemy import Connection, ExceptionContext, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hoc.concurrency.effect import Effect
from hoc.database.outages import leaves_doubt

_CANCEL_SECONDS: Final = 1.0


@contextmanager
def committing(effect: Effect) -> Generator[None, None, None]:
    """Have an effect be possible from the block's begin, unless the block raises what excludes it."""
    before, effect.is_possible = effect.is_possible, True
    try:
        yield
    except Exception as problem:
        effect.is_possible = before or leaves_doubt(problem)
        raise


@asynccontextmanager
async def transaction(engine: AsyncEngine, effect: Effect) -> AsyncGenerator[AsyncConnection, None]:
    """A transaction that commits at the end of the block, unless the block has ended it.

    The end of the connection rolls it back.
    """
    async with engine.connect() as connection:
        begun = await connection.begin()
        try:
            yield connection
            if begun.is_active:
                with committing(effect):
                    await begun.commit()
        except (asyncio.CancelledError, TimeoutError):
            # A server that does not answer would not answer a ROLLBACK either.
            await connection.run_sync(_abandon)
            raise


@asynccontextmanager
async def direct_transaction(driver: asyncpg.Connection, effect: Effect) -> AsyncGenerator[None, None]:
    """As `transaction`, on asyncpg's connection. At its end that is closed, or fit for the next one."""
    begun = driver.transaction()
    has_ended = False
    try:
        await begun.start()
        try:
            yield
        except asyncio.CancelledError:
            await cancel_statement(driver)
            raise
        except Exception as problem:
            if _would_answer(driver, problem):
                await begun.rollback()
                has_ended = True
            raise
        with committing(effect):
            await begun.commit()
        has_ended = True
    finally:
        if not has_ended:
            driver.terminate()


class Savepoint:
    """Undoes what its block does if that raises, with the methods of AsyncTransaction that hoc uses."""

    def __init__(self, driver: asyncpg.Connection) -> None:
        self._driver = driver
        self._begun = driver.transaction()
        self.is_active = False

    async def rollback(self) -> None:
        self.is_active = False
        await self._begun.rollback()

    async def __aenter__(self) -> Self:
        await self._begun.start()
        self.is_active = True
        return self

    async def __aexit__(self, _kind: object, problem: BaseException | None, _traceback: object) -> None:
        if not self.is_active:
            return
        if problem is None:
            self.is_active = False
            await self._begun.commit()
        elif _would_answer(self._driver, problem):
            await self.rollback()


def _would_answer(driver: asyncpg.Connection, problem: BaseException) -> bool:
    """Whether the server would answer a ROLLBACK after the problem."""
    return isinstance(problem, Exception) and not (isinstance(problem, TimeoutError) or driver.is_closed())


def abandon_silent_connections(engine: AsyncEngine) -> None:
    """Have an engine close connections at once that do not answer, or whose COMMIT is not awaited any more.

    By itself SQLAlchemy cancels what runs, and waits up to two seconds for the server to confirm that. A
    COMMIT must not be cancelled: where it waits for a standby, that makes it visible without one.
    """

    @event.listens_for(engine.sync_engine, "handle_error")
    def leave(context: ExceptionContext) -> None:
        problem = context.original_exception
        is_commit = isinstance(problem, asyncio.CancelledError) and context.statement is None
        if context.connection is not None and (is_commit or isinstance(problem, TimeoutError)):
            _terminate(context.connection)


async def cancel_statement(driver: asyncpg.Connection) -> None:
    """Have the server end the statement that the connection was left with, and close the connection.

    A statement that waits for a lock would be executed once it gets it, long after its caller was answered,
    and its transaction would keep what it has locked until then.
    """
    with suppress(Exception):
        await driver.close(timeout=_CANCEL_SECONDS)


def _abandon(connection: Connection) -> None:
    _terminate(connection)
    connection.invalidate()


def _terminate(connection: Connection) -> None:
    if not (connection.closed or connection.invalidated):
        driver = connection.connection.driver_connection
        assert driver is not None  # noqa: S101 - it is open
        driver.terminate()
