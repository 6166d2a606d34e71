"""Connections that lead through a pooler, such as PgBouncer or Odyssey.

A pooler in transaction mode gives each transaction any of its server connections. So nothing may stay on one
of them: no setting, no LISTEN, no lock of a session, and no prepared statement unless the pooler knows of it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import asyncpg
from sqlalchemy import text

from hoc.database.outages import sqlstate

if TYPE_CHECKING:
    from hoc.database.pooled_connection import PooledConnection

Pooler: TypeAlias = Literal["transaction", "session"]
"""What is between hoc and PostgreSQL: how long a client keeps a server connection."""

POOLER_FOUND: Final = (
    "a pooler answers there, and not PostgreSQL itself: set HOC_POOLER=transaction,"
    " or HOC_POOLER=session if it works in session mode"
)

MISSING_LIMITS: Final = text(
    "SELECT name, format('ALTER ROLE %I SET %s = ''%s''', current_user, name, wanted) AS remedy"
    " FROM (VALUES ('statement_timeout', '5s'), ('lock_timeout', '5s'),"
    " ('idle_in_transaction_session_timeout', '10s')) AS limits (name, wanted)"
    " WHERE current_setting(name) = '0'"
)
"""The time limits that a server connection lacks, each with the statement that sets it for the role."""

_PROTOCOL_VIOLATION: Final = "08P01"
_SERVER_PROCESS: Final = "SELECT pg_backend_pid()"


class PoolerFoundError(ConnectionError):
    """A pooler answers where PostgreSQL itself was expected."""

    def __init__(self) -> None:
        super().__init__(POOLER_FOUND)


async def settle(connection: asyncpg.Connection, pooler: Pooler | None, limits: Mapping[str, str]) -> None:
    """Make a new connection fit for use. Raises PoolerFoundError if ``pooler`` is None and there is one."""
    if pooler is None:
        # Unnamed: another client's statement may have the name behind a pooler.
        process = await (await connection.prepare(_SERVER_PROCESS, name="")).fetchval()
        if process != connection.get_server_pid():
            raise PoolerFoundError
    elif pooler == "session":
        for name, value in limits.items():
            await connection.execute(f"SET {name} = {value}")
    else:
        await cast("PooledConnection", connection).find_out()


def refuses_parameters(problem: Exception) -> bool:
    """Whether a pooler refused the parameters that hoc sends to PostgreSQL as it connects."""
    return sqlstate(problem) == _PROTOCOL_VIOLATION and "startup parameter" in str(problem)
