"""A relay that stops its own process before its nth message or batch, or after its nth acknowledgement."""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from hoc.cus.account.wiring import open_database
from hoc.events import sending
from hoc.events.message import Message
from hoc.events.nats import JetStreamPublisher, NatsConnection
from hoc.events.relay import Relay

# A test would have to wait for the ten seconds of production.
LEASE_SECONDS = 2
sending.SEND_SECONDS = LEASE_SECONDS / 2


class StoppingPublisher:
    def __init__(self, publisher: JetStreamPublisher, before: int, after: int) -> None:
        self._publisher = publisher
        self._before, self._after = before, after
        self._sent, self._acknowledged = itertools.count(1), itertools.count(1)

    @property
    def is_connected(self) -> bool:
        return self._publisher.is_connected

    async def publish(self, message: Message) -> None:
        with self._stopping():
            await self._publisher.publish(message)

    async def publish_together(self, messages: Sequence[Message]) -> bool:
        with self._stopping():
            return await self._publisher.publish_together(messages)

    @contextmanager
    def _stopping(self) -> Generator[None]:
        if next(self._sent) == self._before:
            os.kill(os.getpid(), signal.SIGSTOP)
        yield
        if next(self._acknowledged) == self._after:
            os.kill(os.getpid(), signal.SIGSTOP)


def _shorten_lease(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{LEASE_SECONDS}s'")
    cursor.close()
    connection.commit()


async def _relay(database_url: str, nats_url: str, before: int, after: int) -> None:
    database = open_database(database_url, pool_size=2)
    event.listen(database.engine.sync_engine, "connect", _shorten_lease)
    connection = NatsConnection(nats_url)
    publisher = StoppingPublisher(JetStreamPublisher(connection, stream="ACCOUNTS"), before, after)
    relay = Relay(database, publisher, source="urn:test:accounts", poll_seconds=0.05)
    async with connection.running(), relay.running():
        await asyncio.Event().wait()


asyncio.run(_relay(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
