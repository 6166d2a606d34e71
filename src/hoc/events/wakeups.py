"""Telling relays, in whichever process, that there may be something to publish.

A NOTIFY in every writing transaction would make them all wait for one lock as they commit. So it is sent
after the commit, by itself, once for all that commit within a moment. A lost one costs the relay's poll.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress

import asyncpg
from sqlalchemy import func, select

from hoc.background import in_background
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.database import CONNECT_TIMEOUT_SECONDS, Database

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
            with suppress(UnavailableError):
                async with self._database.reading() as session:
                    await session.execute(_NOTIFY)
            await asyncio.sleep(INTERVAL_SECONDS)


class Listener:
    """Calls ``wake`` for every ring, on a connection of its own; connects again when that is lost."""

    def __init__(self, url: str, wake: Callable[[], None]) -> None:
        self._url = url
        self._wake = wake

    def running(self) -> AbstractAsyncContextManager[None]:
        return in_background(self._run(), name="hoc-listener")

    def _on_ring(self, *_ring: object) -> None:
        self._wake()

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
                _log.warning("not listening for events, polling for them: %s", type(problem).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT_SECONDS)
        try:
            await connection.add_listener(CHANNEL, self._on_ring)
            self._wake()  # for what was missed before
            while not connection.is_closed():
                await asyncio.sleep(CHECK_SECONDS)
                await connection.execute("SELECT 1", timeout=CHECK_SECONDS)
        finally:
            connection.terminate()
