"""An engine on asyncpg, as all of hoc uses it."""

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import asyncpg
import orjson
from sqlalchemy import AdaptedConnection, NullPool, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from hoc.database.connecting import CONNECT_TIMEOUT_SECONDS, Connector, PasswordSource
from hoc.database.direct import Row
from hoc.database.pooler import Pooler
from hoc.database.transactions import abandon_silent_connections
from hoc.postgres_url import PostgresUrl

if TYPE_CHECKING:
    from hoc.database.pooled_connection import PooledConnection

T = TypeVar("T")

POOL_TIMEOUT_SECONDS = 1
_DIALECT = "postgresql+asyncpg://"  # where the database is says the connector


def create_engine(
    url: str,
    *,
    pool_size: int = 8,
    statement_timeout_ms: int | None = 5_000,
    pooled: bool = True,
    password: PasswordSource | None = None,
    connect_timeout: float = CONNECT_TIMEOUT_SECONDS,
    pooler: Pooler | None = None,
) -> AsyncEngine:
    """An engine on asyncpg with hoc's JSON codec and time limits; none if ``statement_timeout_ms`` is None.

    Its connections are to where ``url`` says with libpq's parameters, through the ``pooler`` there. Raises
    ValueError for a wrong URL.
    """
    pool: dict[str, Any] = {"poolclass": NullPool}
    if pooled:
        pool = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": POOL_TIMEOUT_SECONDS}
    connector = Connector(
        PostgresUrl.parse(url),
        password=password,
        connect_timeout=connect_timeout,
        command_timeout=None if statement_timeout_ms is None else statement_timeout_ms / 1_000 + 1,
        record_class=Row,
        pooler=pooler,
        server_settings={"application_name": "hoc", "timezone": "UTC"},
        limits=_limits(statement_timeout_ms),
    )
    engine = create_async_engine(
        _DIALECT,
        **pool,
        async_creator=connector.connect,
        # The connection itself encodes and decodes JSON: see `_set_up`.
        json_serializer=_unchanged,
        json_deserializer=_unchanged,
        # Bound values may be personal data; an error's text must not carry them into a log.
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(adapted: AdaptedConnection, _record: object) -> None:
        adapted.run_async(partial(_set_up, is_pooled=pooler == "transaction"))

    abandon_silent_connections(engine)
    return engine


def _limits(statement_timeout_ms: int | None) -> dict[str, str]:
    """The server's time limits. Those of the role, which a pooler needs, must not end a migration."""
    return {
        "statement_timeout": str(statement_timeout_ms or 0),
        "lock_timeout": str(statement_timeout_ms or 0),
        "idle_in_transaction_session_timeout": "0" if statement_timeout_ms is None else "10000",
    }


def _unchanged(value: T) -> T:
    return value


def _to_json(value: object) -> str:
    return orjson.dumps(value).decode()


async def _set_up(connection: asyncpg.Connection, *, is_pooled: bool) -> None:
    try:
        for name in ("json", "jsonb"):
            await connection.set_type_codec(
                name, schema="pg_catalog", encoder=_to_json, decoder=orjson.loads, format="text"
            )
        await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str, format="text")
        if is_pooled:
            await cast("PooledConnection", connection).look_up_types()  # setting a codec forgets types
    except BaseException:
        connection.terminate()
        raise
