"""Hands connections from one statement straight to the next one, past SQLAlchemy's pool.

Returning a connection to the pool and taking it out again costs as much as a short statement.
"""

import asyncio

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from hoc.concurrency.limiter import Limiter
from hoc.database.freshness import Freshness


class ConnectionHandoff:
    """At most ``limit`` connections of an engine's pool at the same time.

    A connection that nobody waits for returns to the pool in the event loop's next turn, unless the task that
    had it, or another of this turn, asks for one before.
    """

    def __init__(
        self, engine: AsyncEngine, freshness: Freshness, limit: int, *, timeout_seconds: float
    ) -> None:
        self._engine = engine
        self._freshness = freshness
        self._limiter: Limiter[PoolProxiedConnection] = Limiter(
            limit, timeout_seconds=timeout_seconds, keep=self._keep
        )
        self._idle: list[PoolProxiedConnection] = []

    async def acquire(self) -> PoolProxiedConnection:
        """Return an open connection. Raises TimeoutError or sqlalchemy.exc.TimeoutError after the timeout."""
        connection = await self._limiter.acquire()
        if connection is None and self._idle:
            connection = self._idle.pop()
        try:
            while connection is None or not self._freshness.is_fresh(connection):
                if connection is not None:
                    connection.invalidate()
                connection = await self._engine.raw_connection()
        except BaseException:
            self._limiter.release(None)
            raise
        return connection

    def release(self, connection: PoolProxiedConnection, *, is_sound: bool) -> bool:
        """Give a connection back. Returns whether it went to a waiting task, which has not run yet."""
        if not is_sound:
            connection.invalidate()
            self._limiter.release(None)
            return False
        if self._limiter.release(connection) is None:
            return True
        self._keep(connection)
        return False

    def return_idle(self) -> None:
        """Give back to the pool what nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def _keep(self, connection: PoolProxiedConnection) -> None:
        if not self._idle:
            asyncio.get_running_loop().call_soon(self.return_idle)
        self._idle.append(connection)
