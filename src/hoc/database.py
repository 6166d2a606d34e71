"""PostgreSQL as the HTTP adapter and the courier use it: short reads, whole transactions, honest outages."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TypeVar

import asyncpg
import orjson
from sqlalchemy import URL, AdaptedConnection, event, make_url
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from hoc.autocommit import AutocommitConnection, Row
from hoc.cus.account.L5_schemas.errors import (
    AccountsError,
    AccountValidationError,
    ConflictError,
    LastOwnerError,
    UnavailableError,
)
from hoc.lanes import Lanes

T = TypeVar("T")
Connection = TypeVar("Connection")

MAX_ATTEMPTS = 3
CONNECT_TIMEOUT_SECONDS = 1
POOL_TIMEOUT_SECONDS = 1
RETRY_AFTER_SECONDS = 1

_SERIALIZATION_FAILURE = "40001"
_DEADLOCK = "40P01"
# Of a statement sent straight to asyncpg; InternalClientError is what a connection says that was terminated
# between two. The last is SQLAlchemy's, of making a connection.
_DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    AsyncAdapt_asyncpg_dbapi.Error,
)
# Connection exceptions, too few resources, operator intervention, a lock not granted in time, system errors.
_OUTAGES = ("08", "53", "57", "55P03", "58", _SERIALIZATION_FAILURE, _DEADLOCK)


class Database:
    """A pool of connections to one database.

    Args:
        url: ``postgresql://user:password@host:port/name``.
        pool_size: connections at most; a caller waits one second for one, then gets UnavailableError.
        statement_timeout_ms: after this PostgreSQL cancels a statement.
    """

    def __init__(self, url: str, *, pool_size: int = 10, statement_timeout_ms: int = 5_000) -> None:
        self.engine = create_engine(url, pool_size=pool_size, statement_timeout_ms=statement_timeout_ms)
        # Every fifth connection is left to transactions, however many single statements there are.
        self._lanes = Lanes(self.engine, pool_size - pool_size // 5, patience_seconds=POOL_TIMEOUT_SECONDS)
        self._after_write: Callable[[], None] = _nothing
        self._autocommit = AutocommitConnection

    def after_write(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called whenever `transact` or `write` has committed."""
        self._after_write = callback

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AutocommitConnection, None]:
        """A connection on which every statement stands alone: one round trip, no transaction."""
        with domain_errors():
            pooled = await self._lanes.enter()
            is_sound = False  # when it is broken off it may still be busy: nobody must get it next
            try:
                yield self._autocommit(pooled.driver_connection, self.engine.dialect)
                is_sound = True
            except (AccountsError, asyncpg.PostgresError):
                is_sound = True
                raise
            finally:
                has_gone_on = self._lanes.leave(pooled, is_sound=is_sound)
        if has_gone_on:
            # The next statement is sent now, so that PostgreSQL works while this one's answer is made.
            await asyncio.sleep(0)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection, None]:
        """A transaction that commits at the end, or rolls back with the exception."""
        with domain_errors():
            async with self.engine.begin() as connection:
                yield connection

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run ``work`` in a transaction; again from its start, up to three times, if it lost a deadlock."""
        return await self._write(work, self.transaction)

    async def write(self, work: Callable[[AutocommitConnection], Awaitable[T]]) -> T:
        """Run ``work`` of one statement, which saves it the other round trips of `transact`."""
        return await self._write(work, self.reading)

    async def _write(
        self,
        work: Callable[[Connection], Awaitable[T]],
        session: Callable[[], AbstractAsyncContextManager[Connection]],
    ) -> T:
        done = await self._attempt(work, session)
        self._after_write()
        return done

    async def _attempt(
        self,
        work: Callable[[Connection], Awaitable[T]],
        session: Callable[[], AbstractAsyncContextManager[Connection]],
    ) -> T:
        for _ in range(MAX_ATTEMPTS - 1):
            try:
                async with session() as connection:
                    return await work(connection)
            except UnavailableError as problem:
                if sqlstate(problem.__cause__) not in {_SERIALIZATION_FAILURE, _DEADLOCK}:
                    raise
        async with session() as connection:
            return await work(connection)

    async def close(self) -> None:
        await self.engine.dispose()


def _nothing() -> None:
    pass


def sqlalchemy_url(url: str) -> URL:
    """``postgresql://…`` or ``postgres://…`` as SQLAlchemy's URL for asyncpg."""
    return make_url(url).set(drivername="postgresql+asyncpg")


def create_engine(url: str, *, pool_size: int = 10, statement_timeout_ms: int = 5_000) -> AsyncEngine:
    """An engine on asyncpg with hoc's timeouts and JSON codec."""
    engine = create_async_engine(
        sqlalchemy_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        # By the connection itself: see below.
        json_serializer=_as_it_is,
        json_deserializer=_as_it_is,
        # A bound value belongs to a person; it must not reach a log inside an error's text.
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_TIMEOUT_SECONDS,
            "command_timeout": statement_timeout_ms / 1_000 + 1,
            "record_class": Row,
            "server_settings": {
                "application_name": "hoc",
                "statement_timeout": str(statement_timeout_ms),
                "lock_timeout": str(statement_timeout_ms),
                "idle_in_transaction_session_timeout": "10000",
                "timezone": "UTC",
            },
        },
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_codecs(adapted: AdaptedConnection, _record: object) -> None:
        adapted.run_async(_set_codecs)

    return engine


def _as_it_is(value: T) -> T:
    return value


def _to_json(value: object) -> str:
    return orjson.dumps(value).decode()


async def _set_codecs(connection: asyncpg.Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=_to_json, decoder=orjson.loads, format="text"
        )
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str, format="text")


@contextmanager
def domain_errors() -> Generator[None, None, None]:
    """Let PostgreSQL's refusals out as domain errors, and its absence as UnavailableError."""
    try:
        yield
    except (OSError, TimeoutError, PoolTimeoutError) as problem:
        raise _unavailable() from problem
    except (DBAPIError, *_DRIVER_ERRORS) as problem:
        translated = _translated(problem)
        if translated is problem:
            raise
        raise translated from problem


def sqlstate(problem: BaseException | None) -> str | None:
    """PostgreSQL's code for what went wrong, None where it said nothing."""
    return getattr(_cause(problem), "sqlstate", None)


def _cause(problem: BaseException | None) -> BaseException | None:
    """What asyncpg raised, where SQLAlchemy has put something around it."""
    return problem.orig.__cause__ if isinstance(problem, DBAPIError) and problem.orig else problem


def _translated(problem: Exception) -> Exception:
    state = sqlstate(problem)
    if getattr(problem, "connection_invalidated", False) or state is None or state.startswith(_OUTAGES):
        return _unavailable()
    return _refusal(getattr(_cause(problem), "constraint_name", None)) or problem


def _refusal(constraint: str | None) -> AccountsError | None:
    match constraint:
        case "ck_member_counts_keeps_an_owner":
            return LastOwnerError("A tenant keeps at least one owner.")
        case "uq_users_email_key_active":
            return AccountValidationError.of("email", "is another active account's already")
        case "uq_invitations_pending":
            return ConflictError("An invitation to this address is pending.", code="already_pending")
        case _:
            return None


def _unavailable() -> UnavailableError:
    return UnavailableError(
        "The database did not answer in time. Before repeating a change, see whether it was made.",
        retry_after=RETRY_AFTER_SECONDS,
    )
