"""Which of a pool's connections may be used: open ones, opened since the last failover."""

import time
from typing import Any, Final, Protocol

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

_OPENED: Final = "hoc.opened"
_AGAIN_SECONDS: Final = 1.0


class Pooled(Protocol):
    """A connection of SQLAlchemy's pool, or the pool's record of it."""

    @property
    def driver_connection(self) -> Any: ...  # noqa: ANN401 - asyncpg's connection

    @property
    def info(self) -> dict[Any, Any]: ...


class Freshness:
    """Has an engine's pool open a connection anew that is closed, or was opened before `drop`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._since = 0.0
        event.listen(engine.sync_engine, "connect", _note_opening)
        event.listen(engine.sync_engine, "checkout", self._check)

    def drop(self) -> None:
        """Use no connection again that is open now. Once a second: the next ones may lead there too."""
        now = time.monotonic()
        if now - self._since > _AGAIN_SECONDS:
            self._since = now

    def is_fresh(self, connection: Pooled) -> bool:
        driver = connection.driver_connection
        return driver is not None and not driver.is_closed() and connection.info[_OPENED] > self._since

    def _check(self, _adapted: object, record: Pooled, _proxy: object) -> None:
        if not self.is_fresh(record):
            raise DisconnectionError("The connection is closed, or leads to a server that was demoted.")


def _note_opening(_adapted: object, record: Pooled) -> None:
    record.info[_OPENED] = time.monotonic()
