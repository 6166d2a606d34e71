"""Notifies the relays of all processes that there may be events to publish.

A NOTIFY in each writing transaction would make them all wait for one lock while they commit. So one NOTIFY
is sent after the commit, for all commits of the last 50 ms. If it is lost, the relay's poll finds the events.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import asyncpg
from sqlalchemy import func, select

from hoc.concurrency.background import BackgroundLoop
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L6_drivers.errors import domain_errors, explain_outage
from hoc.database import Database, NotConnectedError, PasswordSource, Pooler, create_engine

CHANNEL = "hoc_events"
INTERVAL_SECONDS = 0.05
RECONNECT_SECONDS = 1.0
CHECK_SECONDS = 10.0

_NOTIFY = select(func.pg_notify(CHANNEL, ""))

_log = logging.getLogger("hoc.events")


class CommitNotifier:
    """Notifies all listening relays, at most twenty times a second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loop = BackgroundLoop(
            self._send,
            name="hoc-commit-notifier",
            subject="notifying relays",
            pause_seconds=None,
            explain=explain_outage,
            logger=_log,
        )

    def notify(self) -> None:
        """Have the relays notified of a commit. Returns at once."""
        self._loop.wake()

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._loop.running()

    async def _send(self) -> None:
        # Relays also poll, and log an outage of the database.
        with suppress(UnavailableError, asyncpg.PostgresError):
            async with self._database.reading() as session:
                await session.execute(_NOTIFY)
        await asyncio.sleep(INTERVAL_SECONDS)


def _explain(problem: Exception) -> str | None:
    reached = problem.__cause__
    if isinstance(reached, NotConnectedError) and reached.finds_pooler:
        return "a pooler answers; set HOC_LISTEN_DATABASE_URL to PostgreSQL itself"
    return explain_outage(problem)


class Listener:
    """Calls ``wake`` for every notification. Uses its own connection, and reconnects when that is lost."""

    def __init__(
        self,
        url: str,
        wake: Callable[[], None],
        *,
        password: PasswordSource | None = None,
        pooler: Pooler | None = None,
    ) -> None:
        self._engine = create_engine(url, pooled=False, password=password, pooler=pooler)
        self._wake = wake
        self._loop = BackgroundLoop(
            self._listen,
            name="hoc-listener",
            subject="listening for commits (relays still poll)",
            pause_seconds=RECONNECT_SECONDS,
            explain=_explain,
            logger=_log,
        )

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._loop.running()

    def _on_notification(self, *_notification: object) -> None:
        self._wake()

    async def _listen(self) -> None:
        """Listen until the connection is lost."""
        is_lost = asyncio.Event()

        def on_loss(_connection: object) -> None:
            is_lost.set()

        with domain_errors():
            pooled = await self._engine.raw_connection()
            try:
                connection: Any = pooled.driver_connection
                connection.add_termination_listener(on_loss)
                await connection.add_listener(CHANNEL, self._on_notification)
                self._loop.succeeded()
                self._wake()  # for commits before this moment
                while not is_lost.is_set():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(is_lost.wait(), CHECK_SECONDS)
                    await connection.fetchval("SELECT 1")  # fails if the connection is dead
            finally:
                pooled.invalidate()
