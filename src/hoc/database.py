"""PostgreSQL as the HTTP adapter and the courier use it: short reads, whole transactions, honest outages."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TypeVar

import orjson
from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from hoc.cus.account.L5_schemas.errors import (
    AccountsError,
    AccountValidationError,
    ConflictError,
    LastOwnerError,
    UnavailableError,
)

T = TypeVar("T")

MAX_ATTEMPTS = 3
CONNECT_TIMEOUT_SECONDS = 1
RETRY_AFTER_SECONDS = 1

_SERIALIZATION_FAILURE = "40001"
_DEADLOCK = "40P01"
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
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._after_write: Callable[[], None] = _nothing

    def after_write(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called whenever `transact` has committed."""
        self._after_write = callback

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection, None]:
        """A connection on which every statement stands alone: one round trip, no transaction."""
        with domain_errors():
            async with self._autocommit.connect() as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection, None]:
        """A transaction that commits at the end, or rolls back with the exception."""
        with domain_errors():
            async with self.engine.begin() as connection:
                yield connection

    async def transact(
        self, work: Callable[[AsyncConnection], Awaitable[T]], *, one_statement: bool = False
    ) -> T:
        """Run ``work`` in a transaction; again from its start, up to three times, if it lost a deadlock.

        Work of ``one_statement`` is a transaction by itself, and saves the round trips of another.
        """
        done = await self._transact(work, self.reading if one_statement else self.transaction)
        self._after_write()
        return done

    async def _transact(
        self,
        work: Callable[[AsyncConnection], Awaitable[T]],
        session: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
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
    return create_async_engine(
        sqlalchemy_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=1,
        json_serializer=_to_json,
        json_deserializer=orjson.loads,
        # A bound value belongs to a person; it must not reach a log inside an error's text.
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_TIMEOUT_SECONDS,
            "command_timeout": statement_timeout_ms / 1_000 + 1,
            "server_settings": {
                "application_name": "hoc",
                "statement_timeout": str(statement_timeout_ms),
                "lock_timeout": str(statement_timeout_ms),
                "idle_in_transaction_session_timeout": "10000",
                "timezone": "UTC",
            },
        },
    )


def _to_json(value: object) -> str:
    return orjson.dumps(value).decode()


@contextmanager
def domain_errors() -> Generator[None, None, None]:
    """Let PostgreSQL's refusals out as domain errors, and its absence as UnavailableError."""
    try:
        yield
    except (OSError, TimeoutError, PoolTimeoutError) as problem:
        raise _unavailable() from problem
    except DBAPIError as problem:
        translated = _translated(problem)
        if translated is problem:
            raise
        raise translated from problem


def sqlstate(problem: BaseException | None) -> str | None:
    """PostgreSQL's code for what went wrong, None where it said nothing."""
    return getattr(getattr(problem, "orig", None), "sqlstate", None)


def _translated(problem: DBAPIError) -> Exception:
    state = sqlstate(problem)
    if problem.connection_invalidated or state is None or state.startswith(_OUTAGES):
        return _unavailable()
    return _refusal(getattr(getattr(problem.orig, "__cause__", None), "constraint_name", None)) or problem


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
