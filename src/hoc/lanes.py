"""Connections handed from one short use straight to the next, past the pool they are from.

Returning a connection to SQLAlchemy's pool and taking it out again costs as much as a short statement.
"""

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from hoc.turns import Turns


class Lanes:
    """At most ``count`` connections of an engine's pool at once.

    Raises TimeoutError, its own or SQLAlchemy's, for who would wait longer than ``patience_seconds``.
    """

    def __init__(self, engine: AsyncEngine, count: int, *, patience_seconds: float) -> None:
        self._engine = engine
        self._turns: Turns[PoolProxiedConnection] = Turns(count, patience_seconds=patience_seconds)

    async def enter(self) -> PoolProxiedConnection:
        """An open connection, to be given to `leave` afterwards."""
        connection = await self._turns.take()
        try:
            while connection is None or _is_closed(connection):
                if connection is not None:
                    connection.invalidate()  # the server closed it meanwhile
                connection = await self._engine.raw_connection()
        except BaseException:
            self._turns.give(None)
            raise
        return connection

    def leave(self, connection: PoolProxiedConnection, *, is_sound: bool) -> bool:
        """True if it went to another, who has yet to run."""
        if not is_sound:
            connection.invalidate()
            self._turns.give(None)
            return False
        if self._turns.give(connection) is None:
            return True
        connection.close()
        return False


def _is_closed(connection: PoolProxiedConnection) -> bool:
    driver = connection.driver_connection
    return driver is None or driver.is_closed()
