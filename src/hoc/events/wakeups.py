"""Telling relays, in whichever process, that there may be something to publish.

A NOTIFY in every writing transaction would make them all wait for one lock as they commit. So it is sent
after the commit, by itself, once for all that commit within a moment. A lost one costs the relay's poll.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import asyncpg
from sqlalchemy import func, select

from hoc.background import in_background
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.database import Database, create_engine, domain_errors

CHANNEL = "hoc_events"
INTERVAL_SECONDS = 0.05
RECONNECT_SECONDS = 1.0
CHECK_SECONDS = 10.0

_NOTIFY = select(func.pg_notify(CHANNEL, ""))

_log = logging.getLogger("hoc.events")


class Doorbell:
    """Rings at all listening relays, at most twenty times a second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Say that something was committed; returns at once."""
        self._rung.set()

    def running(self) -> AbstractAsyncContextManager[None]:
        return in_background(self._run(), name="hoc-doorbell")

    async def _run(self) -> None:
        while True:
            await self._rung.wait()
            self._rung.clear()
            with suppress(UnavailableError, asyncpg.PostgresError):
                async with self._database.reading() as session:
                    await session.execute(_NOTIFY)
            await asyncio.sleep(INTERVAL_SECONDS)


class Listener:
    """Calls ``wake`` for every ring, on a connection of its own; connects again when that is lost."""

    def __init__(self, url: str, wake: Callable[[], None]) -> None:
        self._engine = create_engine(url, pool_size=1)
        self._wake = wake

    def running(self) -> AbstractAsyncContextManager[None]:
        return in_background(self._run(), name="hoc-listener")

    async def _run(self) -> None:
        is_away = False
        while True:
            try:
                await self._listen()
                is_away = False
            except UnavailableError:
                if not is_away:
                    _log.warning("not listening for events, polling for them: the database is unavailable")
                is_away = True
            except Exception:  # noqa: BLE001 - whatever it was, the next round must come
                _log.exception("not listening for events, polling for them")
            await asyncio.sleep(RECONNECT_SECONDS)

    def _on_ring(self, *_ring: object) -> None:
        self._wake()

    async def _listen(self) -> None:
        """Until the connection is lost."""
        is_lost = asyncio.Event()

        def on_loss(_connection: object) -> None:
            is_lost.set()

        with domain_errors():
            pooled = await self._engine.raw_connection()
            try:
                connection: Any = pooled.driver_connection
                connection.add_termination_listener(on_loss)
                await connection.add_listener(CHANNEL, self._on_ring)
                self._wake()  # for what was missed before
                while not is_lost.is_set():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(is_lost.wait(), CHECK_SECONDS)
                    await connection.fetchval("SELECT 1")  # a connection that is silently dead fails this
            finally:
                pooled.invalidate()
