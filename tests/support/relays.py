"""A test's own database and NATS, with the relays between them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.nats import NatsServer
from support.pgbouncer import through
from support.postgres import POOLER
from support.races import rewrite
from support.seed import execute
from support.waiting import PATIENCE_SECONDS, until
from support.world import PostgresWorld

from hoc.cus.account.L6_drivers.event_sequencing import EventBacklog, SqlEventSequencing
from hoc.cus.account.wiring import open_database
from hoc.database import Database
from hoc.events.nats import JetStreamPublisher, NatsConnection
from hoc.events.relay import Relay

SOURCE = "urn:test:accounts"

in_place_and_taken_out = pytest.mark.parametrize("taken_out", [False, True])
"""Run a test twice: with the mechanism that it names, and without it, to show that the rule needs it."""

_WRITE_EVENT = (
    "INSERT INTO account.outbox (type, time, user_id, tenant_id, payload)"
    " VALUES ('user.profile_updated', now(), CAST(:user AS text), :tenant,"
    " json_build_object('user_id', CAST(:user AS text), 'name', CAST(:name AS text)))"
)


class Site:
    """A database whose accounts and renamings are events for the relays, and their NATS."""

    def __init__(self, url: str, nats: NatsServer, database: Database) -> None:
        self.url, self.nats, self.database = url, nats, database
        self.world = PostgresWorld(database)

    @asynccontextmanager
    async def connected(
        self, *mechanisms: tuple[str, str], url: str | None = None, nats_url: str | None = None
    ) -> AsyncGenerator[tuple[Database, NatsConnection]]:
        """The connections of one process. Its statements are sent without the mechanisms."""
        async with AsyncExitStack() as stack:
            database = open_database(through(url or self.url), pool_size=3, pooler=POOLER)
            stack.push_async_callback(database.close)
            rewrite(database, *mechanisms)
            connection = NatsConnection(nats_url or self.nats.url)
            await stack.enter_async_context(connection.running())
            await until_connected(connection)
            yield database, connection

    @asynccontextmanager
    async def relay(
        self, *mechanisms: tuple[str, str], nats_url: str | None = None, **options: Any
    ) -> AsyncGenerator[Relay]:
        """A relay that does nothing until the test calls it or runs it."""
        async with self.connected(*mechanisms, nats_url=nats_url) as (database, connection):
            publisher = JetStreamPublisher(connection, stream="ACCOUNTS")
            yield Relay(database, publisher, source=SOURCE, **options)

    async def rename(self, user_id: str, *names: str) -> None:
        """Write one event for each name, each in a transaction of its own."""
        for name in names:
            async with self.database.transaction() as session:
                await self.world.facade.update_profile(session, user_id, display_name=name)

    async def write_event(self, user_id: str, name: str, tenant_id: str | None = None) -> None:
        """Write an event with a name of any size. The user need not exist."""
        await execute(self.database, _WRITE_EVENT, user=user_id, tenant=tenant_id, name=name)

    async def names(self) -> list[tuple[str, str]]:
        """The user and the new name of each renaming in the stream."""
        return [
            (message.data["user_id"], message.data["name"])
            for message in await self.nats.stored()
            if message.subject == "user.profile_updated"
        ]

    async def until_named(self, user_id: str, name: str, *, times: int = 1) -> None:
        async def is_named() -> bool:
            return (await self.names()).count((user_id, name)) >= times

        await until(is_named)

    async def status(self) -> EventBacklog:
        async with self.database.reading() as session:
            return await SqlEventSequencing().status(session)

    async def until_published(self) -> None:
        async def is_published() -> bool:
            return (await self.status()).unpublished == 0

        await until(is_published)


async def until_connected(connection: NatsConnection) -> None:
    async def is_connected() -> bool:
        return connection.is_connected

    await until(is_connected)


def sequencer(database: Database, *, batch: int = 500) -> Relay:
    """A relay that numbers events and does not publish them."""
    return Relay(database, None, source=SOURCE, batch=batch)


async def run_once(relay: Relay) -> None:
    """Number all events, and publish one batch."""
    while await relay.sequence_events():
        pass
    await relay.publish()


async def publish_all(site: Site, relay: Relay) -> None:
    """Number and publish all events, however often a busy machine makes the relay try again."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await site.status()).unpublished:
            await run_once(relay)


class RelayProcess:
    """A relay in a process of its own, which stops (SIGSTOP) at a chosen message."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    async def until_stopped(self) -> None:
        async def is_stopped() -> bool:
            assert self._process.poll() is None, "the relay ended"
            return psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED

        await until(is_stopped)

    def resume(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def relay_process(site: Site, *, before: int = 0, after: int = 0) -> Generator[RelayProcess]:
    """Run a relay that stops itself before its nth message, or after its nth acknowledgement."""
    program = Path(__file__).with_name("relay_process.py")
    # -P: the program must not import its neighbours in place of libraries of the same name.
    command = [sys.executable, "-P", str(program), site.url, site.nats.url, str(before), str(after)]
    with subprocess.Popen(command) as process:
        try:
            yield RelayProcess(process)
        finally:
            process.kill()
